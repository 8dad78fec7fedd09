"""Standard streams that may be closed, or whose reader may go away."""

import asyncio
import io
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO, TextIO

from sentient.text import printable

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

READER_GONE = 141
"""What shells say of a program whose output nobody reads any more (128 + SIGPIPE)."""


def open_missing() -> None:
    """Put /dev/null where a standard stream was closed, before a database gets its number."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


def abandon(stream: TextIO) -> None:
    """Let whatever else is written to the stream, at exit too, go nowhere."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


class ReaderGoneError(Exception):
    """Nobody reads the output any more.

    No OSError, so that neither click nor rich ends the process for it, each with a code of its own.
    """


@contextmanager
def answerable_stdout() -> Iterator[None]:
    """Inside the block a write to stdout, or its flush, raises `ReaderGoneError` when that is so.

    Characters that its encoding lacks are replaced. What is buffered at the end of the block is
    for the caller to flush.
    """
    kept = sys.stdout
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(_Answering(kept.buffer)),
        encoding=kept.encoding,
        errors="replace" if kept.errors == "strict" else kept.errors,
        line_buffering=bool(kept.line_buffering),
        write_through=getattr(kept, "write_through", False),
    )
    try:
        yield
    finally:
        sys.stdout = kept


@asynccontextmanager
async def passing_on() -> AsyncIterator[Callable[[str], None]]:
    """A sink that writes to stdout at once; to a terminal without what could steer it.

    It raises nothing in whoever calls it. When nobody reads any more the block is cancelled, and
    raises `ReaderGoneError`.
    """
    task, unread = asyncio.current_task(), False

    def write(text: str) -> None:
        nonlocal unread
        try:
            sys.stdout.write(printable(text) if sys.stdout.isatty() else text)
            sys.stdout.flush()
        except ReaderGoneError:
            unread = True
            abandon(sys.stdout)
            if task is not None:
                task.cancel()

    try:
        yield write
        if unread:
            await asyncio.sleep(0)  # where the cancellation arrives
    except asyncio.CancelledError:
        if unread:
            raise ReaderGoneError from None
        raise


class _Answering(io.RawIOBase):
    """Passes every write on at once, and says in a word of its own that the reader is gone."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def writable(self) -> bool:
        return True

    def write(self, data: "ReadableBuffer") -> int:
        try:
            written = self._stream.write(data)
            self._stream.flush()
        except BrokenPipeError as error:
            raise ReaderGoneError from error
        return written

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()


class Forgiving:
    """Writes to a terminal or pipe as long as it is there; losing it disturbs nothing."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write and flush; after a failure into nothing."""
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:
            abandon(self._stream)
        return len(text)

    def flush(self) -> None:
        """Nothing: each write does."""

    def isatty(self) -> bool:
        """Whether it is a terminal, as far as it is known."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """The descriptor, for who asks how wide the terminal is."""
        return self._stream.fileno()


def pass_error(text: str) -> None:
    """Write to stderr at once, as long as it is there; to a terminal as `passing_on` does."""
    stderr = Forgiving(sys.stderr)
    stderr.write(printable(text) if stderr.isatty() else text)
