"""Forked children that report records through a pipe and die alone, whatever tests do in them."""

import os
import pickle
import resource
import select
import signal
import struct
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

Record = tuple[Any, ...]
Report = Callable[..., None]
"""Called in the child with the fields of one record."""

_HEADER = struct.Struct("<I")
_MEMORY_BYTES = 3 << 30
_POLL_S = 0.05


@dataclass(eq=False)
class Fork:
    """A running child, seen from the parent."""

    pid: int
    pipe: int
    quiet_limit_s: float
    """Wall seconds without a record after which the child is killed."""
    records: list[Record] = field(default_factory=list)
    done: bool = False
    timed_out: bool = False
    """Whether a CPU or wall limit ended it."""
    ran_out_of_cpu: bool = False
    _buffer: bytes = b""
    _heard: float = field(default_factory=time.monotonic)

    def read(self) -> None:
        """Take in what the child wrote; finishes the child when it closed its end."""
        data = b""
        with suppress(BlockingIOError):
            data = os.read(self.pipe, 1 << 20)
            if not data:
                self.finish()
        self._buffer += data
        while len(self._buffer) >= _HEADER.size:
            (size,) = _HEADER.unpack_from(self._buffer)
            end = _HEADER.size + size
            if len(self._buffer) < end:
                break
            self.records.append(pickle.loads(self._buffer[_HEADER.size : end]))
            self._buffer = self._buffer[end:]
            self._heard = time.monotonic()

    def check(self) -> None:
        """Finish a child that died without closing the pipe, or that has been quiet too long."""
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        dead = os.waitid(os.P_PID, self.pid, flags) is not None
        self.timed_out = not dead and time.monotonic() - self._heard > self.quiet_limit_s
        if dead or self.timed_out:
            self.read()
            self.finish()

    def finish(self) -> None:
        """Kill the child with everything it started, and reap it."""
        if self.done:
            return
        self.done = True
        ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        self.ran_out_of_cpu = ended is not None and ended.si_status == signal.SIGPROF
        self.timed_out |= self.ran_out_of_cpu
        for kill, target in ((os.killpg, self.pid), (os.kill, self.pid)):
            with suppress(ProcessLookupError, PermissionError):
                kill(target, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.pipe)


def fork(body: Callable[[Report], None], quiet_limit_s: float) -> Fork:
    """Run `body` in a child of its own session, with silent standard streams and bounded memory."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reader)
            _isolate()
            body(lambda *fields: _send(writer, fields))
        except BaseException:
            os._exit(1)
        os._exit(0)
    os.close(writer)
    os.set_blocking(reader, False)
    return Fork(pid, reader, quiet_limit_s)


def wait_any(forks: Iterable[Fork]) -> list[Fork]:
    """Read from running children until some time has passed; return those that have ended."""
    forks = list(forks)
    ready, _, _ = select.select([child.pipe for child in forks], [], [], _POLL_S)
    for child in forks:
        if child.pipe in ready:
            child.read()
        if not child.done and not ready:
            child.check()
    return [child for child in forks if child.done]


def run(body: Callable[[Report], None], quiet_limit_s: float) -> list[Record]:
    """Run one child to its end and return its records."""
    child = fork(body, quiet_limit_s)
    try:
        while not child.done:
            wait_any([child])
    finally:
        child.finish()
    return child.records


def limit_cpu(seconds: float) -> None:
    """Let the kernel kill this process after some more CPU seconds; 0 lifts the limit."""
    signal.setitimer(signal.ITIMER_PROF, seconds)


def _isolate() -> None:
    os.setsid()
    silence = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(silence, stream)
    for name in (signal.SIGPROF, signal.SIGINT, signal.SIGTERM):
        signal.signal(name, signal.SIG_DFL)
    with suppress(OSError, ValueError):
        with open("/proc/self/statm") as statistics:
            used = int(statistics.read().split()[0]) * resource.getpagesize()
        limit = used + _MEMORY_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _send(pipe: int, fields: Record) -> None:
    data = pickle.dumps(fields)
    view = memoryview(_HEADER.pack(len(data)) + data)
    while view:
        view = view[os.write(pipe, view) :]
