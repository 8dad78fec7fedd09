"""WebSockets to a desktop's ports: the upgrade request is passed on, then bytes flow untouched.

uvicorn hands a connection that asks for a WebSocket to a protocol class together with the request.
This one does not take part in the WebSocket at all, so subprotocols, extensions and whatever else
the two ends agree on work as if they were connected directly.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from starlette.datastructures import Headers

from sentient_desktop.desktop import Desktop
from sentient_desktop.errors import AgentGoneError, ApiError, DesktopError
from sentient_desktop.network.ports import ClosedPortError, inner_headers, open_port
from sentient_desktop.network.streams import join

Admit = Callable[[Headers], Awaitable[tuple[Desktop, int]]]
"""Finds the desktop and port a request may be passed to, or raises what it is refused with."""


class Tunnel(asyncio.StreamReaderProtocol):
    """One connection, from the moment uvicorn lets go of it."""

    def __init__(self, admit: Admit, *, server_state: Any, **_context: Any) -> None:
        reader = asyncio.StreamReader()
        super().__init__(reader, self._serve)
        self._admit = admit
        self._connections = server_state.connections
        self._connection: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over, as one of the connections uvicorn ends when it shuts down."""
        self._connections.add(self)
        self._connection = transport
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go."""
        self._connections.discard(self)
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """End the tunnel; uvicorn calls this when the server stops."""
        if self._connection is not None:
            self._connection.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        request, *lines = head[:-4].split(b"\r\n")
        pairs = [line.partition(b": ") for line in lines]
        raw = [(name.lower(), value) for name, _, value in pairs]
        try:
            desktop, port = await self._admit(Headers(raw=raw))
            async with open_port(desktop, port) as inside:
                headers = inner_headers(desktop, port, raw)
                lines = [request, *(b"%s: %s" % header for header in headers)]
                inside[1].write(b"\r\n".join(lines) + b"\r\n\r\n")
                await join((reader, writer), inside)
        except DesktopError as error:
            _refuse(writer, error)
        except OSError:
            pass  # the client left before it was let in
        finally:
            writer.close()


def _refuse(writer: asyncio.StreamWriter, error: DesktopError) -> None:
    status = error.status if isinstance(error, ApiError) else 500
    if isinstance(error, AgentGoneError):
        status = 502
    fields = error.body if isinstance(error, ClosedPortError) else {"message": str(error)}
    body = json.dumps({"code": status, **fields}).encode()
    writer.write(
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode()
        + body
    )
