"""Standard streams that may be closed, or whose reader may go away."""

import os
import sys
from contextlib import suppress
from typing import TextIO

from rich.console import Console

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


class Output(Console):
    """Writes to stdout, where rich would end the process itself if the reader is gone."""

    def __init__(self) -> None:
        super().__init__(highlight=False, soft_wrap=True)

    def on_broken_pipe(self) -> None:
        """Let whoever prints decide what that means."""
        raise BrokenPipeError


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
