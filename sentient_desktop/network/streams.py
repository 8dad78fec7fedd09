"""Byte streams between the event loop and a desktop, and carrying them from one to another."""

import asyncio
import contextlib
import ssl
from collections.abc import Iterable
from typing import Any

import httpcore

CHUNK_BYTES = 1 << 16
LINGER_S = 30.0

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
        raise NotImplementedError("streams to desktops carry TLS, they do not speak it")

    def get_extra_info(self, info: str) -> Any:
        """Return what the transport knows."""
        return self._writer.get_extra_info(info)


class _Meter:
    """Counts what two directions carry together."""

    def __init__(self, limit_bytes: int | None) -> None:
        self.carried = 0
        self._limit = limit_bytes

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one direction to its end, and pass the end on."""
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK_BYTES):
                self.carried += len(data)
                if self._limit is not None and self.carried > self._limit:
                    break
                writer.write(data)
                await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()


async def join(
    one: Stream, other: Stream, *, idle_s: float | None = None, limit_bytes: int | None = None
) -> None:
    """Carry bytes both ways until both sides are done, then close them.

    Ends early when nothing moved for ``idle_s`` seconds (half a minute when one side is done
    already), or when more than ``limit_bytes`` were carried.
    """
    meter = _Meter(limit_bytes)
    ways = {
        asyncio.create_task(meter.carry(one[0], other[1])),
        asyncio.create_task(meter.carry(other[0], one[1])),
    }
    running = ways
    try:
        while running:
            carried = meter.carried
            wait_s = idle_s if len(running) == len(ways) else LINGER_S
            done, running = await asyncio.wait(
                running, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED
            )
            if not done and meter.carried == carried:
                break
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
