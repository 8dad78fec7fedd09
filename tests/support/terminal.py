"""A command in a real pseudo-terminal, and the screen that it draws there, by pyte."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pyte

LINES = 300
"""So many that nothing scrolls away."""

FOREGROUND = ["setsid", "--ctty", "env", "--default-signal=INT"]
"""The command leads the terminal's session, and hears its Ctrl-C."""


class Terminal:
    """What a command writes to a terminal: its bytes, and what they draw."""

    def __init__(self, process: "subprocess.Popen[bytes]", master: int, width: int) -> None:
        self.process, self.written = process, b""
        self._master = master
        self.screen = pyte.Screen(width, LINES)
        self._stream = pyte.ByteStream(self.screen)

    def press(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def read_until(self, words: str, within_s: float = 60) -> None:
        """Draw what comes until the screen shows `words`."""
        deadline = time.monotonic() + within_s
        while squeezed(words) not in self.text:
            assert time.monotonic() < deadline, f"{words!r} is not in {self.rows}"
            assert self._draw(1.0) is not False, f"{words!r} is not in {self.rows}"

    def wait(self, within_s: float = 60) -> int:
        """Draw the rest; returns the exit code."""
        deadline = time.monotonic() + within_s
        while self._draw(1.0) is not False:
            assert time.monotonic() < deadline, f"no end: {self.rows}"
        return self.process.wait(10)

    def _draw(self, timeout_s: float) -> bool | None:
        """Draw one piece; None when none came in time, False when the terminal is closed."""
        if not select.select([self._master], [], [], timeout_s)[0]:
            return None
        try:
            piece = os.read(self._master, 65536)
        except OSError:  # so it ends for the last reader
            return False
        self.written += piece
        self._stream.feed(piece)
        return bool(piece)

    @property
    def rows(self) -> list[str]:
        """The lines that are not empty, without what pads them."""
        return [row.rstrip() for row in self.screen.display if row.strip()]

    @property
    def text(self) -> str:
        """All of it without any space, so that a line that the terminal wrapped is whole."""
        return squeezed("".join(self.screen.display))


def squeezed(text: str) -> str:
    """Text without spaces and line breaks."""
    return "".join(text.split())


@contextmanager
def terminal(command: list[str], env: dict[str, str], width: int) -> Iterator[Terminal]:
    """Run a command in a terminal so many columns wide; it is killed if it does not end."""
    env = {name: value for name, value in env.items() if name not in ("COLUMNS", "LINES")}
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, width, 0, 0))
    try:
        process = subprocess.Popen(
            [*FOREGROUND, *command], env={**env, "TERM": "xterm-256color"},
            stdin=slave, stdout=slave, stderr=slave,
        )  # fmt: skip
    finally:
        os.close(slave)
    try:
        yield Terminal(process, master, width)
    finally:
        process.kill()
        process.wait()
        os.close(master)
