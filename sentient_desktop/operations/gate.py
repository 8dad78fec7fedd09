"""The gate every HTTP request passes: it is counted, timed, logged, and refused at the end.

Draining goes in two steps. First new desktops are refused and everything else goes on, until no
request is open or the grace is over. Then the desktops' processes end, which ends whatever streams
are still open with the end of their command, and from then on everything is refused.
"""

import asyncio
import contextlib
import logging
import re
import secrets
import time
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import Message, Receive, Scope, Send

from sentient_desktop.app import App, find_target
from sentient_desktop.desktop import Desktop
from sentient_desktop.errors import ApiError
from sentient_desktop.operations.logs import log_event, request_id
from sentient_desktop.operations.telemetry import Telemetry
from sentient_desktop.settings import ENVD_PORT, INTERPRETER_PORT

RETRY_AFTER_S = 5
LAST_WORDS_S = 2.0
"""How long streams may take to deliver their end after the processes are gone."""

_RPC = re.compile(r"^/(process|filesystem)\.(?:Process|Filesystem)/([A-Z][A-Za-z]{1,30})$")
_ENVD = frozenset({"/files", "/health", "/envs", "/metrics", "/init", "/files/compose"})
_INTERPRETER = frozenset({"/execute", "/contexts", "/health"})
_CREATES = re.compile(r"(/v2)?/sandboxes(/[^/]+/fork)?")

_log = logging.getLogger(__name__)


@dataclass
class _Passage:
    """One request on its way through."""

    scope: Scope
    send: Send
    id: str
    started: float
    status: int = 0
    first_byte_s: float = 0.0

    async def forward(self, message: Message) -> None:
        """Send a message on, noting the first one."""
        if message["type"] == "http.response.start" and not self.status:
            self.status = message["status"]
            self.first_byte_s = time.monotonic() - self.started
            MutableHeaders(scope=message).append("x-request-id", self.id)
        await self.send(message)


class Gate:
    """ASGI application around the server's own."""

    def __init__(self, app: App, telemetry: Telemetry) -> None:
        self._app = app
        self._telemetry = telemetry
        self.draining = False
        self._closed = False
        self._open = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        passage = _Passage(scope, send, secrets.token_hex(8), time.monotonic())
        request_id.set(passage.id)
        desktop_id, port = _target(scope)
        desktop = self._find(desktop_id)
        self._open += 1
        self._idle.clear()
        _enter(desktop)
        try:
            if self._refuses(scope, desktop_id):
                await _unavailable()(scope, receive, passage.forward)
            else:
                await self._app(scope, receive, passage.forward)
        finally:
            _leave(desktop)
            self._open -= 1
            if not self._open:
                self._idle.set()
            self._note(passage, desktop_id, port)

    def _find(self, desktop_id: str) -> Desktop | None:
        fleet = self._app.fleet
        return fleet.desktops.get(desktop_id) if fleet else None

    def _refuses(self, scope: Scope, desktop_id: str) -> bool:
        creates = not desktop_id and scope["method"] == "POST" and _CREATES.fullmatch(scope["path"])
        return self._closed or (self.draining and bool(creates))

    def _note(self, passage: _Passage, desktop_id: str, port: int) -> None:
        scope = passage.scope
        plane, route = _classify(scope, desktop_id, port)
        self._telemetry.observe(plane, route, passage.status, passage.first_byte_s)
        facts: dict[str, Any] = {
            "plane": plane,
            "route": route,
            "method": scope["method"] if scope["method"] in _METHODS else "other",
            "status": passage.status,
            "ms": round(1000 * (time.monotonic() - passage.started), 2),
            "id": passage.id,
        }
        if desktop := self._find(desktop_id or _path_id(scope)):
            facts["desktop"] = desktop.id
            desktop.used_at = time.monotonic()
        if "owner" in scope:
            facts["owner"] = scope["owner"].name
        log_event(_log, "request", **facts)

    async def drain(self, grace_s: float) -> None:
        """Refuse new desktops, let requests end within the grace, then end all processes."""
        log_event(_log, "draining", open=self._open, grace_s=grace_s)
        self.draining = True
        await self._settle(grace_s)
        self._closed = True
        if (fleet := self._app.fleet) is not None:
            await fleet.shut_down()
        await self._settle(LAST_WORDS_S)
        log_event(_log, "drained", open=self._open)

    async def _settle(self, timeout_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()


_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})


def _enter(desktop: Desktop | None) -> None:
    if desktop is not None:
        desktop.callers += 1


def _leave(desktop: Desktop | None) -> None:
    if desktop is not None:
        desktop.callers -= 1


def _target(scope: Scope) -> tuple[str, int]:
    """Return (desktop id, port) of a request to a desktop; ("", 0) for the control plane."""
    try:
        return find_target(Headers(scope=scope)) or ("", 0)
    except ApiError:
        return "", 0  # the application says what is wrong with it


def _path_id(scope: Scope) -> str:
    return str(scope.get("path_params", {}).get("id", ""))


def _classify(scope: Scope, desktop_id: str, port: int) -> tuple[str, str]:
    """Return the plane and the class of route: few values, and nothing a client made up."""
    path = scope["path"]
    if not desktop_id:
        endpoint = scope.get("endpoint")
        return "control", getattr(endpoint, "__name__", "none")
    if port == ENVD_PORT:
        if match := _RPC.match(path):
            return "envd", f"{match[1]}.{match[2]}" if match[2] in _CALLS else match[1]
        return "envd", path[1:] if path in _ENVD else "none"
    if port == INTERPRETER_PORT:
        return "interpreter", path[1:] if path in _INTERPRETER else "none"
    return "port", "any"


_CALLS = frozenset(
    {
        "Start", "Connect", "List", "SendInput", "SendSignal", "StreamInput", "CloseStdin",
        "Update", "Stat", "MakeDir", "Move", "ListDir", "Remove", "WatchDir", "CreateWatcher",
        "GetWatcherEvents", "RemoveWatcher",
    }
)  # fmt: skip


def _unavailable() -> JSONResponse:
    body = {"code": 503, "message": "the server is shutting down; ask again in a few seconds"}
    return JSONResponse(body, status_code=503, headers={"retry-after": str(RETRY_AFTER_S)})
