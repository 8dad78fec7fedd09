"""The way out as programs inside see it: an HTTP proxy, one session per connection.

CONNECT carries anything (TLS mostly); plain HTTP is repeated request by request, so that every
request on a connection that is kept alive is judged by itself.
"""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import h11
import httpcore

from sentient_desktop.network.dialer import DeniedError, UnreachableError
from sentient_desktop.network.streams import Stream, Wire, close, join, without

IDLE_S = 300.0
HEAD_LIMIT_BYTES = 1 << 16
TUNNEL_LIMIT_BYTES = 64 << 30
"""What one CONNECT may carry, both ways together."""

_DROPPED = frozenset((b"host", b"transfer-encoding"))

Dial = Callable[[str, int], Awaitable[Stream]]
"""Opens a permitted connection; raises DeniedError or UnreachableError."""


class _BadRequestError(Exception):
    """The guest asked for something a proxy does not do."""


class ProxySession:
    """Serves the requests of one connection from inside until one of the two sides is done."""

    def __init__(self, stream: Stream, dial: Dial) -> None:
        self._stream = stream
        self._wire = Wire(stream, IDLE_S)
        self._dial = dial
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_LIMIT_BYTES)

    async def run(self) -> None:
        """Serve; returns when the connection is of no more use. Closing it is the caller's."""
        with contextlib.suppress(httpcore.NetworkError, httpcore.TimeoutException):
            try:
                while await self._serve():
                    self._http.start_next_cycle()
            except DeniedError as error:
                await self._refuse(403, f"denied by the sandbox's network policy: {error}")
            except (UnreachableError, httpcore.ProtocolError, h11.LocalProtocolError) as error:
                await self._refuse(502, str(error))
            except (_BadRequestError, h11.RemoteProtocolError) as error:
                await self._refuse(400, str(error))

    async def _serve(self) -> bool:
        request = await self._event()
        if not isinstance(request, h11.Request):
            return False
        if request.method == b"CONNECT":
            await self._tunnel(request)
            return False
        await self._repeat(request)
        return self._http.our_state is h11.DONE and self._http.their_state is h11.DONE

    async def _event(self) -> Any:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            if self._http.they_are_waiting_for_100_continue:
                await self._send(h11.InformationalResponse(status_code=100, headers=[]))
            self._http.receive_data(await self._wire.read(HEAD_LIMIT_BYTES))
        return event

    async def _send(self, event: Any) -> None:
        if data := self._http.send(event):
            await self._wire.write(data)

    async def _tunnel(self, request: h11.Request) -> None:
        host, port = _authority(f"//{request.target.decode('ascii')}", None)
        outside = await self._dial(host, port)
        try:
            await self._wire.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            outside[1].write(self._http.trailing_data[0])
            await join(self._stream, outside, idle_s=IDLE_S, limit_bytes=TUNNEL_LIMIT_BYTES)
        finally:
            close(outside)

    async def _repeat(self, request: h11.Request) -> None:
        target = request.target.decode("ascii")
        if not target.lower().startswith("http://"):
            raise _BadRequestError("a proxy takes http:// addresses and CONNECT")
        host, port = _authority(target[5:], 80)
        outside = await self._dial(host, port)
        connection = httpcore.AsyncHTTP11Connection(
            httpcore.Origin(b"http", b"", port), Wire(outside, IDLE_S)
        )
        try:
            await self._answer(await connection.handle_async_request(self._copy(request, port)))
        finally:
            await connection.aclose()

    def _copy(self, request: h11.Request, port: int) -> httpcore.Request:
        parts = urlsplit(request.target.decode("ascii"))
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        url = httpcore.URL(scheme=b"http", host=b"", port=port, target=path.encode())
        host = parts.netloc.rpartition("@")[2].encode()
        # Transfer-Encoding stays: it tells the library how the body is to be framed.
        headers = without(request.headers.raw_items(), frozenset((b"host",)))
        headers = [(b"Host", host), *headers, (b"Connection", b"close")]
        return httpcore.Request(request.method, url, headers=headers, content=self._body())

    async def _body(self) -> AsyncIterator[bytes]:
        while isinstance(event := await self._event(), h11.Data):
            yield bytes(event.data)

    async def _answer(self, response: httpcore.Response) -> None:
        if not 200 <= response.status <= 599:
            raise httpcore.RemoteProtocolError(f"the server answered with {response.status}")
        headers = without(response.headers, _DROPPED)
        await self._send(h11.Response(status_code=response.status, headers=headers))
        async for data in response.aiter_stream():
            await self._send(h11.Data(data=data))
        await self._send(h11.EndOfMessage())

    async def _refuse(self, status: int, text: str) -> None:
        if self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return  # an answer is on its way; it ends short, and the guest sees that it does
        body = f"sandbox network: {text}\n".encode()
        headers = [
            ("content-type", "text/plain; charset=utf-8"),
            ("content-length", str(len(body))),
            ("connection", "close"),
        ]
        with contextlib.suppress(h11.LocalProtocolError):
            await self._send(h11.Response(status_code=status, headers=headers))
            await self._send(h11.Data(data=body))
            await self._send(h11.EndOfMessage())


def _authority(url: str, default_port: int | None) -> tuple[str, int]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or default_port
    except ValueError:
        host, port = None, None
    if not host or not port:
        raise _BadRequestError("the address has no host or no port")
    return host, port
