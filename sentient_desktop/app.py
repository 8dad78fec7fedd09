"""One port for everything: decides whether a request is for a desktop or for the control plane.

The order matters, because both sides have a /health and a /metrics: (1) sandbox headers, which the
SDKs send when given a sandbox URL; (2) a ``<port>-<id>.`` host name, for browsers and get_host();
(3) a signed /files URL, which names no sandbox and is matched by its signature; (4) the control
plane.
"""

import asyncio
import logging
import os
import re
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from sentient_desktop.control.idempotency import Replays
from sentient_desktop.control.routes import control_routes
from sentient_desktop.control.samples import History
from sentient_desktop.desktop import Desktop, gone
from sentient_desktop.envd.access import require_file_access
from sentient_desktop.envd.endpoint import require_credentials, serve_envd
from sentient_desktop.errors import (
    AgentError,
    AgentGoneError,
    ApiError,
    BootError,
    DesktopError,
    DiskError,
    FreezeError,
    storage_error,
)
from sentient_desktop.fleet import Fleet
from sentient_desktop.interpreter.endpoint import serve_interpreter
from sentient_desktop.network.ports import require_traffic_token, serve_port
from sentient_desktop.owners import DEFAULT_OWNER, Owners
from sentient_desktop.rpc.fields import parse_decimal
from sentient_desktop.settings import ENVD_PORT, INTERPRETER_PORT

AUTO_RESUME_S = 300

_HOST = re.compile(r"^([0-9]{1,5})-([a-z0-9]+)\.")

_log = logging.getLogger(__name__)

Lifespan = Callable[[], AbstractAsyncContextManager[Fleet]]


class App:
    """The ASGI application. ``lifespan`` makes the fleet at start-up and ends it at shutdown."""

    def __init__(self, lifespan: Lifespan, owners: Owners, routes: Sequence[Route] = ()) -> None:
        self._owners = owners
        self._control = Starlette(
            routes=[Route("/health", health), *routes, *control_routes()],
            lifespan=self._run(lifespan),
            exception_handlers={
                DesktopError: _answer_error,
                OSError: _answer_storage,
                sqlite3.Error: _answer_storage,
                404: _nothing_here,
                Exception: _answer_bug,
            },
        )

    def _run(self, lifespan: Lifespan) -> Callable[[Starlette], AbstractAsyncContextManager[None]]:
        @asynccontextmanager
        async def run(app: Starlette) -> AsyncIterator[None]:
            async with lifespan() as fleet:
                app.state.fleet = fleet
                app.state.replays = Replays()
                app.state.history = History(fleet.desktops.values)
                sampling = asyncio.create_task(app.state.history.sample_forever())
                try:
                    yield
                finally:
                    sampling.cancel()

        return run

    @property
    def fleet(self) -> Fleet | None:
        """The fleet, while there is one."""
        return getattr(self._control.state, "fleet", None)

    @property
    def _fleet(self) -> Fleet:
        fleet: Fleet = self._control.state.fleet
        return fleet

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; errors of ours become the bodies the SDKs understand."""
        if scope["type"] != "http":
            await self._control(scope, receive, send)
            return
        sent = _Watched(send)
        try:
            await self._dispatch(scope, receive, sent)
        except ClientDisconnect:
            return
        except DesktopError as error:
            if sent.started:
                raise
            await error_response(error)(scope, receive, send)
        except (OSError, sqlite3.Error) as error:
            if sent.started:
                raise
            await (await _answer_storage(Request(scope), error))(scope, receive, send)

    async def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        if target := find_target(headers):
            desktop_id, port = target
            await self._serve_port(desktop_id, port, scope, receive, send)
        elif scope["path"] == "/files":
            desktop = self._find_signer(scope)
            await self._wake(desktop)
            await serve_envd(desktop, scope, receive, send)
        else:
            if scope["path"] != "/health":
                self._require_key(scope, headers)
            await self._control(scope, receive, send)

    def _require_key(self, scope: Scope, headers: Headers) -> None:
        """Find whose request this is; what is not an owner's own concern is the first key's."""
        bearer = headers.get("authorization", "").removeprefix("Bearer ")  # Prometheus' way
        owner = self._owners.find(headers.get("x-api-key", bearer))
        if owner is None:
            raise ApiError(401, "the API key is missing or wrong (header X-API-KEY)")
        if scope["path"] == "/metrics" and owner.name != DEFAULT_OWNER:
            raise ApiError(403, "/metrics is about all owners: it takes the server's first key")
        scope["owner"] = owner

    async def _serve_port(
        self, desktop_id: str, port: int, scope: Scope, receive: Receive, send: Send
    ) -> None:
        desktop = self._find(desktop_id)
        if port != ENVD_PORT:
            require_traffic_token(desktop, Headers(scope=scope))
        elif _wakes_on_use(desktop):
            require_credentials(desktop.record.token, Request(scope))
        await self._wake(desktop)
        if port == ENVD_PORT:
            await serve_envd(desktop, scope, receive, send)
        elif port == INTERPRETER_PORT:
            await serve_interpreter(desktop, scope, receive, send)
        else:
            await serve_port(desktop, port, scope, receive, send)

    async def admit(self, headers: Headers) -> tuple[Desktop, int]:
        """Find the desktop and port a WebSocket is for, waking the desktop if it may be woken.

        Raises:
            ApiError: it is for none, or not allowed in.
        """
        desktop_id, port = find_target(headers) or ("", 0)
        if port in (0, ENVD_PORT, INTERPRETER_PORT):
            raise ApiError(400, "WebSockets are offered on the ports of sandboxes only")
        desktop = self._find(desktop_id)
        require_traffic_token(desktop, headers)
        await self._wake(desktop)
        return desktop, port

    def _find(self, desktop_id: str) -> Desktop:
        desktop = self._fleet.desktops.get(desktop_id)
        if desktop is None or desktop.deleted:
            raise gone(desktop_id)
        return desktop

    async def _wake(self, desktop: Desktop) -> None:
        if _wakes_on_use(desktop):
            suspended = desktop.record.suspended
            await desktop.resume(0 if suspended else max(AUTO_RESUME_S, desktop.record.timeout_s))
        if desktop.record.state != "running" or desktop.record.end_at <= time.time():
            raise gone(desktop.id)

    def _find_signer(self, scope: Scope) -> Desktop:
        """Find the desktop whose token made a signature; tokens are unique, so at most one."""
        request = Request(scope)
        for desktop in self._fleet.desktops.values():
            if desktop.deleted or not (desktop.record.state == "running" or _wakes_on_use(desktop)):
                continue
            try:
                require_file_access(
                    request.method, Headers(), request.query_params, desktop.record.token
                )
            except ApiError as error:
                if "expired" in error.message:
                    raise
                continue
            return desktop
        raise ApiError(401, "no running sandbox matches this signature")


def _wakes_on_use(desktop: Desktop) -> bool:
    record = desktop.record
    return record.state == "paused" and (record.auto_resume or record.suspended)


class _Watched:
    """A send callable that remembers whether a response has begun."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = False

    async def __call__(self, message: Message) -> None:
        self.started = True
        await self._send(message)


def find_target(headers: Headers) -> tuple[str, int] | None:
    """Return (desktop id, port) a request is addressed to, or None for the control plane.

    Raises:
        ApiError: 400 when only one of the two headers is there or the port is no number.
    """
    desktop_id, port = headers.get("e2b-sandbox-id"), headers.get("e2b-sandbox-port")
    if desktop_id is None and port is None:
        match = _HOST.match(headers.get("host", ""))
        return (match[2], int(match[1])) if match else None
    number = parse_decimal(port or "", 5)
    if not desktop_id or number is None:
        raise ApiError(400, "E2b-Sandbox-Id and E2b-Sandbox-Port must come together")
    return desktop_id, number


def error_response(error: DesktopError) -> Response:
    """Return the HTTP form of an error."""
    headers = {}
    body: dict[str, object] = {"message": str(error)}
    if isinstance(error, ApiError):
        body["code"] = error.status
        if error.error_code:
            body["error_code"] = error.error_code
        if not error.retryable:
            headers["should-retry"] = "false"
    elif isinstance(error, AgentGoneError):
        body["code"] = 502
    elif isinstance(error, DiskError):
        body["code"] = error.status
    elif isinstance(error, BootError | AgentError | FreezeError):
        body["code"] = 500
        _log.error("%s", error.errno_name if isinstance(error, AgentError) else error)
    else:
        body["code"] = 500
    return JSONResponse(body, status_code=int(str(body["code"])), headers=headers)


async def _answer_error(_request: Request, error: Exception) -> Response:
    if isinstance(error, DesktopError):
        return error_response(error)
    raise error


async def _answer_storage(_request: Request, error: Exception) -> Response:
    """Answer what the disk, the registry or the process table refused; the log has the place.

    A peer that is gone and a wait that was too long are no storage, though Python counts them in.
    """
    if not isinstance(error, OSError | sqlite3.Error) or isinstance(error, ConnectionError):
        raise error
    if isinstance(error, TimeoutError):
        _log.error("a wait was too long", exc_info=error)
        return await _answer_bug(_request, error)
    _log.error("storage failed", exc_info=error)
    return error_response(storage_error(error))


async def _answer_bug(_request: Request, error: Exception) -> Response:
    """Answer what nobody foresaw in the SDKs' form; the traceback goes to the log."""
    return error_response(ApiError(500, f"internal error: {type(error).__name__}: {error}"))


async def _nothing_here(request: Request, _error: Exception) -> Response:
    text = f"{request.method} {request.url.path} is not a call this server knows"
    return error_response(ApiError(404, text))


async def health(_request: Request) -> Response:
    """Say that requests are answered, and by which process."""
    return JSONResponse({"ok": True, "pid": os.getpid()})
