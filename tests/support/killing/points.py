"""Named points of a run, planted around the product's own functions from outside.

`plant` wraps them once; `begin` makes this process report to a trace, and die where it should. A
process that never calls `begin` runs as if nothing were planted.
"""

import functools
import inspect
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from checkpoints import lease
from checkpoints.ledger_file import LedgerFile
from checkpoints.postgres import PostgresSaver
from checkpoints.sqlite import SqliteSaver
from killing.trace import Blow, Place, Trace, self_kill
from nodes.context import Step
from nodes.desktops import ThreadDesktops
from tools.desktop import Desktop, Process
from tools.desktop_files import DesktopFiles
from tools.journal import Journal


class Watch:
    """What this process is to report, and where it is to die."""

    def __init__(self) -> None:
        self.trace: Trace | None = None
        self.blow = Blow(-1)
        self.signal_fd = -1
        self.node, self.stage = "start", "saving"
        self.effects = 0
        self.times: Counter[str] = Counter()
        """How often each place was reached."""
        self.entered: list[str] = []
        self.at_entry: Callable[[str], object] | None = None
        """Called with every node that is entered."""
        self.log: list[tuple[float, Place]] = []
        self.lock = threading.Lock()

    def enter(self, node: str) -> None:
        """A node begins."""
        self.node, self.stage = node, "working"
        self.entered.append(node)
        self.reach("entered")
        if self.at_entry is not None:
            self.at_entry(node)

    def reach(self, point: str) -> None:
        """Note the point; die here, or let the killer know, when this is where."""
        if self.trace is None:
            return
        with self.lock:
            place = Place(self.node, self.stage, point)
            if self.node == "act" and point == "call.before":
                self.effects += 1
            count = self.trace.note(place, effects=self.effects)
            self.log.append((time.monotonic(), place))
            self.times[place.name] += 1
            if self.blow.name:
                count = self.times[place.name] if place.name == self.blow.name else -1
            if count != self.blow.at:
                return
            if self.blow.after_s is None:
                self_kill()
            os.write(self.signal_fd, b"x")


watch = Watch()


def begin(trace: Trace, blow: Blow, signal_fd: int) -> None:
    """From here on this process reports to `trace` and meets `blow`."""
    watch.trace, watch.blow, watch.signal_fd = trace, blow, signal_fd
    if blow.at == 0:
        os.write(signal_fd, b"x")


SAVER = {
    "aput": ("put.before", "put.after"),
    "aput_writes": ("writes.before", "writes.after"),
}

AROUND: dict[type, dict[str, tuple[str, str]]] = {
    SqliteSaver: SAVER,
    PostgresSaver: SAVER,
    Desktop: {
        "create": ("", "desktop.made"),
        "connect": ("", "desktop.found"),
        "snapshot": ("snapshot.before", "snapshot.after"),
        "pause": ("pause.before", "pause.after"),
        "start": ("command.before", "command.started"),
        "kill": ("kill.before", "kill.after"),
    },
    Process: {"wait": ("", "command.ended")},
    DesktopFiles: {
        "write_file": ("file.before", "file.after"),
        "write_files": ("files.before", "files.after"),
    },
    Journal: {
        "once": ("call.before", "call.after"),
        "run": ("call.before", "call.after"),
        "_save": ("receipt.before", "receipt.after"),
    },
    ThreadDesktops: {"turn": ("mark.before", "mark.after")},
}
"""For each method the points before and after it; an empty name plants nothing."""


def plant() -> None:
    """Wrap everything once; call before anything runs."""
    for owner, methods in AROUND.items():
        for name, points in methods.items():
            original = inspect.getattr_static(owner, name)
            if isinstance(original, classmethod):
                wrapped: Any = classmethod(around(original.__func__, *points))
            else:
                wrapped = around(original, *points)
            setattr(owner, name, wrapped)
    _plant_steps()
    lease.take_lease = around(lease.take_lease, "", "lease.taken")
    LedgerFile.writing = within(LedgerFile.writing)  # type: ignore[method-assign]


def around(function: Callable[..., Any], before: str, after: str) -> Callable[..., Any]:
    """The function with a point before and one after it."""
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def asynchronous(*args: Any, **kwargs: Any) -> Any:
            if before:
                watch.reach(before)
            result = await function(*args, **kwargs)
            if after:
                watch.reach(after)
            return result

        return asynchronous

    @functools.wraps(function)
    def synchronous(*args: Any, **kwargs: Any) -> Any:
        if before:
            watch.reach(before)
        result = function(*args, **kwargs)
        if after:
            watch.reach(after)
        return result

    return synchronous


def within(transaction: Callable[..., Any]) -> Callable[..., Any]:
    """The ledger's transaction with a point before it, before its commit, and after it."""

    @contextmanager
    @functools.wraps(transaction)
    def written(*args: Any, **kwargs: Any) -> Iterator[Any]:
        watch.reach("ledger.before")
        with transaction(*args, **kwargs) as database:
            yield database
            watch.reach("ledger.uncommitted")
        watch.reach("ledger.after")

    return written


def _plant_steps() -> None:
    """The stages of a node: working, sealing (its snapshot), saving (until the next node)."""
    original_init, original_close = Step.__init__, Step.close

    def init(self: Step, *args: Any, **kwargs: Any) -> None:
        original_init(self, *args, **kwargs)
        watch.enter(self.node)

    async def close(self: Step, update: Any) -> Any:
        watch.stage = "working" if self._desktop is None else "sealing"
        watch.reach("worked")
        closed = await original_close(self, update)
        watch.stage = "saving"
        watch.reach("closed")
        return closed

    Step.__init__ = init  # type: ignore[method-assign]
    Step.close = close  # type: ignore[method-assign]
