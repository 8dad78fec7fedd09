"""Byte streams between the event loop and a desktop, and carrying them from one to another."""

import asyncio
import contextlib
import ssl
from collections.abc import Iterable
from typing import Any

import httpcore

CHUNK_BYTES = 1 << 16

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Wire(httpcore.AsyncNetworkStream):
    """An asyncio stream in the shape httpcore's connections expect."""

    def __init__(self, stream: Stream, idle_s: float | None = None) -> None:
        self._reader, self._writer = stream
        self._idle_s = idle_s

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read at least one byte, or b"" at the end."""
        try:
            async with asyncio.timeout(timeout or self._idle_s):
                return await self._reader.read(max_bytes)
        except TimeoutError as error:
            raise httpcore.ReadTimeout("nothing arrived in time") from error
        except OSError as error:
            raise httpcore.ReadError(str(error)) from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write everything."""
        try:
            self._writer.write(buffer)
            async with asyncio.timeout(timeout or self._idle_s):
                await self._writer.drain()
        except TimeoutError as error:
            raise httpcore.WriteTimeout("nothing was taken in time") from error
        except OSError as error:
            raise httpcore.WriteError(str(error)) from error

    async def aclose(self) -> None:
        """Close at once; what is still buffered is sent by the event loop."""
        self._writer.close()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Refuse: TLS is the two ends' business, it is only carried here."""
        raise NotImplementedError

    def get_extra_info(self, info: str) -> Any:
        """Return what the transport knows."""
        return self._writer.get_extra_info(info)


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


async def join(one: Stream, other: Stream) -> None:
    """Carry bytes both ways until either side ends, then close both."""
    ways = [
        asyncio.create_task(_carry(one[0], other[1])),
        asyncio.create_task(_carry(other[0], one[1])),
    ]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        close(one, other)


def close(*streams: Stream) -> None:
    """Close streams; what is still buffered is sent by the event loop."""
    for _, writer in streams:
        writer.close()


def without(
    headers: Iterable[tuple[bytes, bytes]], *more: frozenset[bytes]
) -> list[tuple[bytes, bytes]]:
    """Drop what concerns one connection only: the fixed names, those Connection lists, ``more``."""
    headers = list(headers)
    dropped = HOP_BY_HOP.union(*more)
    for name, value in headers:
        if name.lower() == b"connection":
            dropped |= {item.strip().lower() for item in value.split(b",")}
    return [(name, value) for name, value in headers if name.lower() not in dropped]


HOP_BY_HOP = frozenset(
    (
        b"connection", b"keep-alive", b"proxy-connection", b"proxy-authenticate",
        b"proxy-authorization", b"te", b"trailer", b"upgrade", b"expect",
    )
)  # fmt: skip
"""Transfer-Encoding stays: the HTTP library reads the framing of a message from it."""
