"""A desktop's own ports, reached from outside: HTTP in both directions, streamed.

The agent connects to the port on the desktop's loopback and carries bytes; HTTP is spoken here.
"""

import asyncio
import contextlib
import hmac
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpcore
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from sentient_desktop.desktop import Desktop
from sentient_desktop.errors import AgentError, AgentGoneError, ApiError
from sentient_desktop.network.streams import Stream, Wire, close, without

OPEN_LIMIT = 128
"""Connections from outside into one desktop at once."""

TOKEN_HEADER = "e2b-traffic-access-token"  # noqa: S105 - the name of a header

_OURS = frozenset((b"e2b-sandbox-id", b"e2b-sandbox-port", TOKEN_HEADER.encode(), b"host"))
"""Headers that address or open the desktop; what runs inside has no business with them."""


class ClosedPortError(ApiError):
    """Nothing listens on a port of a running desktop; the phrase is part of the protocol."""

    def __init__(self, desktop_id: str, port: int) -> None:
        super().__init__(502, "The sandbox is running but port is not open")
        self.body = {"sandboxId": desktop_id, "message": self.message, "port": port, "code": 502}


@asynccontextmanager
async def open_port(desktop: Desktop, port: int) -> AsyncIterator[Stream]:
    """Connect to a port of a desktop's loopback for as long as the context lasts.

    Raises:
        ClosedPortError: nothing listens there.
        ApiError: 429 when too many connections are open, 502 when the desktop is gone.
    """
    if desktop.visitors >= OPEN_LIMIT:
        raise ApiError(429, f"{OPEN_LIMIT} connections to this sandbox's ports are open already")
    desktop.visitors += 1
    try:
        stream = await _connect(desktop, port)
        try:
            yield stream
        finally:
            close(stream)
    finally:
        desktop.visitors -= 1


async def _connect(desktop: Desktop, port: int) -> Stream:
    jail = await desktop.ensure_booted()
    ours, theirs = socket.socketpair()
    try:
        with theirs:
            await jail.channel.call("connect", fds=[theirs.fileno()], port=port)
        return await asyncio.open_unix_connection(sock=ours)
    except BaseException as error:
        ours.close()
        if isinstance(error, AgentError | AgentGoneError):
            raise ClosedPortError(desktop.id, port) from error
        raise


def require_traffic_token(desktop: Desktop, headers: Headers) -> None:
    """Demand the token of a desktop whose ports are not public.

    Raises:
        ApiError: 403.
    """
    wanted = desktop.record.traffic_token
    if wanted and not hmac.compare_digest(headers.get(TOKEN_HEADER, "").encode(), wanted.encode()):
        text = f"Sandbox is secured with traffic access token. Header '{TOKEN_HEADER}' is missing"
        raise ApiError(403, text + " or wrong", retryable=False)


def inner_headers(
    desktop: Desktop, port: int, headers: list[tuple[bytes, bytes]]
) -> list[tuple[bytes, bytes]]:
    """Return a request's headers as the program inside shall see them."""
    host = Headers(raw=headers).get("host", "")
    if mask := str(desktop.record.network.get("maskRequestHost") or ""):
        host = mask.replace("${PORT}", str(port))
    kept = [(name, value) for name, value in headers if name.lower() not in _OURS]
    return [(b"Host", host.encode("latin-1")), *kept]


async def serve_port(
    desktop: Desktop, port: int, scope: Scope, receive: Receive, send: Send
) -> None:
    """Carry one request to a port of the desktop and its answer back.

    Raises:
        ApiError: the port cannot be reached, or what answers there does not speak HTTP.
    """
    try:
        async with open_port(desktop, port) as stream:
            exchange = _Exchange(receive, send)
            work = asyncio.create_task(exchange.run(_request(desktop, port, scope), Wire(stream)))
            watch = asyncio.create_task(exchange.until_client_left())
            try:
                await asyncio.wait((work, watch), return_when=asyncio.FIRST_COMPLETED)
                if work.done():
                    work.result()
            finally:
                for task in (work, watch):
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError, Exception):
                        await task
    except ClosedPortError as error:
        await JSONResponse(error.body, status_code=502)(scope, receive, send)


def _request(desktop: Desktop, port: int, scope: Scope) -> httpcore.Request:
    target = scope.get("raw_path") or scope["path"].encode()
    if scope["query_string"]:
        target += b"?" + scope["query_string"]
    url = httpcore.URL(scheme=b"http", host=b"127.0.0.1", port=port, target=target)
    headers = without(inner_headers(desktop, port, list(scope["headers"])))
    return httpcore.Request(scope["method"], url, headers=headers)


class _Exchange:
    """One request and its answer, between an ASGI client and a stream."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._asked = asyncio.Event()

    async def _body(self) -> AsyncIterator[bytes]:
        try:
            more = True
            while more:
                message = await self._receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                if data := message.get("body"):
                    yield data
                more = message.get("more_body", False)
        finally:
            self._asked.set()

    async def until_client_left(self) -> None:
        """Return when the client hangs up; it may not be listened to before its body is read."""
        await self._asked.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def run(self, request: httpcore.Request, wire: Wire) -> None:
        """Send the request, then pass the answer on as it arrives."""
        request.stream = self._body()
        connection = httpcore.AsyncHTTP11Connection(request.url.origin, wire)
        started = False
        try:
            response = await connection.handle_async_request(request)
            if response.status > 599:
                raise httpcore.RemoteProtocolError(f"status {response.status}")
            headers = without(response.headers, frozenset((b"transfer-encoding",)))
            start = {"type": "http.response.start", "status": response.status, "headers": headers}
            started = True
            await self._send(start)
            async for data in response.aiter_stream():
                await self._send({"type": "http.response.body", "body": data, "more_body": True})
            await self._send({"type": "http.response.body", "body": b""})
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            if not started:  # otherwise the answer ends short, and the client sees that it does
                text = f"what listens on this port did not answer in HTTP: {error}"
                raise ApiError(502, text, retryable=False) from error
        finally:
            await connection.aclose()
