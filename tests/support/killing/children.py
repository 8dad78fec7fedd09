"""Processes to be killed: forked from a parent that has imported everything, or started afresh."""

import ctypes
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from killing import points
from killing.trace import Blow, Place, Trace
from tools.errors import SentientError

HANG_S = 90.0
"""A child that is still there after so long hangs: it is killed, and that is a failure."""

NO_BLOW = Blow(-1)


@dataclass(frozen=True)
class Ended:
    """How a child ended: exit code (negative: the signal), and where it stood."""

    code: int
    place: Place
    effects: int
    hung: bool = False

    @property
    def killed(self) -> bool:
        """Whether a blow ended it."""
        return self.code == -signal.SIGKILL and not self.hung


@dataclass(frozen=True)
class Child:
    """A running child; `wait` has to be called once."""

    pid: int
    handle: int
    signals: int
    """Where the child says that it has reached the point of its blow."""
    blow: Blow
    trace: Trace

    def wait(self) -> Ended:
        """Deal the blow if the child is not over before, and reap it."""
        deadline, hung = time.monotonic() + HANG_S, False
        try:
            if self.blow.after_s is not None:
                ready, _, _ = select.select([self.signals, self.handle], [], [], HANG_S)
                if self.signals in ready and os.read(self.signals, 1):
                    time.sleep(self.blow.after_s)
                    self.kill()
            if not select.select([self.handle], [], [], max(0.0, deadline - time.monotonic()))[0]:
                hung = True
                self.kill()
            code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            return Ended(code, self.trace.place, self.trace.effects, hung)
        finally:
            os.close(self.handle)
            os.close(self.signals)
            self.trace.close()

    def kill(self) -> None:
        """SIGKILL, to this very process."""
        signal.pidfd_send_signal(self.handle, signal.SIGKILL)


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


PR_SET_PDEATHSIG = 1


def fork(work: Callable[[], None], folder: Path, blow: Blow = NO_BLOW) -> Child:
    """Run `work` in a child, which prints to `folder/log`. This process must have no threads."""
    trace = Trace(folder / "trace", fresh=True)
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _child(work, folder / "log", lambda: points.begin(trace, blow, writing))
    os.close(writing)
    return Child(pid, os.pidfd_open(pid), reading, blow, trace)


def _child(work: Callable[[], None], log: Path, begin: Callable[[], None]) -> None:
    """The whole life of a forked child; never returns."""
    code = 0
    try:
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(out, 1)
        os.dup2(out, 2)
        die_with_parent()
        begin()
        work()
    except BaseException as error:  # noqa: BLE001 -- whatever it is, it must not return into the parent's code
        traceback.print_exc()
        code = error.exit_code if isinstance(error, SentientError) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def spawn(argv: list[str], env: dict[str, str], folder: Path, blow: Blow = NO_BLOW) -> Child:
    """Run `sentient` with these arguments in a fresh interpreter; see `killing.command`."""
    trace = Trace(folder / "trace", fresh=True)
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    out = os.open(folder / "out", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    by = "" if blow.after_s is None else "parent"
    command = [sys.executable, "-m", "killing.command"]
    command += [str(trace.path), str(blow.at), str(writing), by, "--", *argv]
    actions = [(os.POSIX_SPAWN_DUP2, out, 1), (os.POSIX_SPAWN_DUP2, log, 2)]
    pid = os.posix_spawn(sys.executable, command, env, file_actions=actions)
    for descriptor in (log, out, writing):
        os.close(descriptor)
    return Child(pid, os.pidfd_open(pid), reading, blow, trace)
