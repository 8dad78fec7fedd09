"""Pipes on the event loop: the raw descriptors that carry output and files in and out of a jail."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Sequence

CHUNK_BYTES = 1 << 18


def close_all(fds: Sequence[int]) -> None:
    """Close descriptors, ignoring those already closed by a failure elsewhere."""
    for fd in fds:
        with contextlib.suppress(OSError):
            os.close(fd)


async def until_readable(fd: int) -> None:
    """Wait until a read will not block. One waiter per descriptor."""
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(fd, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(fd)


async def until_writable(fd: int) -> None:
    """Wait until a write will make progress or fail. One waiter per descriptor."""
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_writer(fd, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_writer(fd)


async def read_chunks(fd: int) -> AsyncIterator[bytes]:
    """Yield what arrives on a non-blocking descriptor until its end. Does not close it."""
    while True:
        try:
            data = os.read(fd, CHUNK_BYTES)
        except BlockingIOError:
            await until_readable(fd)
            continue
        if not data:
            return
        yield data


async def write_all(fd: int, data: bytes | bytearray) -> None:
    """Write everything to a non-blocking descriptor.

    Raises:
        BrokenPipeError: nobody reads any more.
    """
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            await until_writable(fd)
