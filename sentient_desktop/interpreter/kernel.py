"""One kernel process as the host sees it: a pipe for requests, three for what comes back.

Output pipes are read all the time: into a bounded queue while an execution listens, to nowhere
otherwise, so that a program left running never blocks on a full pipe.
"""

import asyncio
import codecs
import contextlib
import os
from collections import deque
from collections.abc import AsyncIterator

from sentient_desktop.interpreter.events import (
    LINE_LIMIT_BYTES,
    Finished,
    ProtocolError,
    Ready,
    Wire,
    output,
    parse_line,
)
from sentient_desktop.sandbox.pipes import close_all, write_all

CHUNK_BYTES = 1 << 16
QUEUE_LIMIT_BYTES = 1 << 20
"""What may wait for a slow client before reading from the kernel pauses."""

DRAIN_LIMIT_BYTES = 1 << 20
"""Most output taken ahead of the events read at once; a pipe holds far less unless somebody keeps
writing."""

EXIT_REPORT_S = 0.5


class Kernel:
    """The pipes of one process. Owns its descriptors until close()."""

    def __init__(self, requests: int, stdout: int, stderr: int, events: int) -> None:
        self._requests = requests
        self._open = {"stdout": stdout, "stderr": stderr, "events": events}
        self._decoders = {
            name: codecs.getincrementaldecoder("utf-8")("replace") for name in ("stdout", "stderr")
        }
        self._line = bytearray()
        self._queue: deque[tuple[Wire | Ready | Finished, int]] = deque()
        self._queued = 0
        self._listening = self._paused = False
        self._wake = asyncio.Event()
        self.idle = asyncio.Event()
        """Set while no execution runs."""
        self.dead = asyncio.Event()
        self.reason = ""
        """Why it is dead."""
        for fd in (requests, *self._open.values()):
            os.set_blocking(fd, False)
        self._watch()

    def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        for name, fd in self._open.items():
            loop.add_reader(fd, self._on_readable, name)

    def _unwatch(self) -> None:
        loop = asyncio.get_running_loop()
        for fd in self._open.values():
            loop.remove_reader(fd)

    def _on_readable(self, name: str) -> None:
        if name != "events":
            self._take_output(name)
            return
        data = self._read(name)
        if data is None:
            return
        if not data:
            # The report of its end says how, and comes at the same time or hardly later.
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._open["events"])
            loop.call_later(EXIT_REPORT_S, self.die, "it closed its end of the pipe")
            return
        try:
            self._take_events(data)
        except ProtocolError as error:
            self.die(f"it sent {error}")

    def _read(self, name: str) -> bytes | None:
        """Read what is there: None when nothing is, b"" at the end."""
        try:
            return os.read(self._open[name], CHUNK_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def _take_output(self, name: str) -> int:
        data = self._read(name) if name in self._open else None
        if data:
            text = self._decoders[name].decode(data)
            if self._listening and text:
                self._put(output(name, text), len(data))
        elif data == b"":
            fd = self._open.pop(name)
            asyncio.get_running_loop().remove_reader(fd)
            os.close(fd)
        return len(data or b"")

    def _take_events(self, data: bytes) -> None:
        self._line += data
        budget = DRAIN_LIMIT_BYTES
        while (end := self._line.find(b"\n")) >= 0:
            line = bytes(self._line[:end])
            del self._line[: end + 1]
            event = parse_line(line)
            budget -= self._drain(budget)
            if isinstance(event, Finished):
                self.idle.set()
            if self._listening or isinstance(event, Ready):
                self._put(event, len(line))
        if len(self._line) > LINE_LIMIT_BYTES:
            raise ProtocolError(f"a line of more than {LINE_LIMIT_BYTES} bytes")

    def _drain(self, budget: int = DRAIN_LIMIT_BYTES) -> int:
        """Take what was printed before the event in hand: it is in the pipes already.

        Returns how much that was, about ``budget`` bytes at most: a program that never stops
        printing between events without number would otherwise hold this process, and fill it.
        """
        taken = 0
        for name in ("stdout", "stderr"):
            while taken < budget and (count := self._take_output(name)):
                taken += count
        return taken

    def _put(self, event: Wire | Ready | Finished, size: int) -> None:
        self._queue.append((event, size))
        self._queued += size
        self._wake.set()
        if self._queued > QUEUE_LIMIT_BYTES and not self._paused:
            self._paused = True
            self._unwatch()

    async def next(self) -> Wire | Ready | Finished | None:
        """Wait for the next event; None when the kernel is dead and has no more."""
        while not self._queue:
            if self.dead.is_set():
                return None
            self._wake.clear()
            await self._wake.wait()
        event, size = self._queue.popleft()
        self._queued -= size
        self._resume()
        return event

    def _resume(self) -> None:
        if self._paused and self._queued <= QUEUE_LIMIT_BYTES // 2:
            self._paused = False
            if not self.dead.is_set():
                self._watch()

    async def execute(self, request: bytes) -> AsyncIterator[Wire | Finished]:
        """Send a request and yield what comes of it up to its end, or the kernel's."""
        for name in ("stdout", "stderr"):
            self._take_output(name)  # what was printed since the last execution is nobody's
        self._listening = True
        self.idle.clear()
        try:
            await self._send(request)
            while (event := await self.next()) is not None:
                if not isinstance(event, Ready):
                    yield event
                if isinstance(event, Finished):
                    return
        finally:
            self._listening = False
            self._queue.clear()
            self._queued = 0
            self._resume()

    async def _send(self, request: bytes) -> None:
        """Write a request; a kernel that dies meanwhile says so by its end."""
        writing = asyncio.create_task(write_all(self._requests, request))
        dying = asyncio.create_task(self.dead.wait())
        try:
            await asyncio.wait({writing, dying}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            writing.cancel()
            dying.cancel()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writing

    def die(self, reason: str) -> None:
        """Note the end: whoever listens gets what was said before, then None. Idempotent."""
        if self.dead.is_set():
            return
        self.reason = reason
        if not self._paused:
            self._drain()
        self.close()
        self.dead.set()
        self._wake.set()

    def close(self) -> None:
        """Close all descriptors. Idempotent."""
        loop = asyncio.get_running_loop()
        self._unwatch()
        if self._requests >= 0:
            loop.remove_writer(self._requests)
            close_all([self._requests, *self._open.values()])
        self._requests = -1
        self._open = {}
