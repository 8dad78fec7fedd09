"""Databases whose N-th operation fails, planted from outside: the product has no fault points.

An operation is a statement, a script or a commit on a connection that was opened while faults
are planted. It fails before it has done anything, with SQLite's own code.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FAULTS = {
    "busy": (sqlite3.SQLITE_BUSY, "SQLITE_BUSY", "database is locked"),
    "full": (sqlite3.SQLITE_FULL, "SQLITE_FULL", "database or disk is full"),
    "io error": (sqlite3.SQLITE_IOERR, "SQLITE_IOERR", "disk I/O error"),
}


@dataclass
class Plan:
    """Which operation fails, how, and whether all after it fail too."""

    number: int
    kind: str
    lasting: bool = False
    count: int = 0
    hits: int = 0
    fired: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def step(self) -> None:
        """Count one operation; raise if it is the one."""
        with self._lock:
            self.count += 1
            hit = self.count == self.number or (self.lasting and self.count > self.number)
            self.hits += hit
        if hit:
            self.fired.set()
            code, name, text = FAULTS[self.kind]
            error = sqlite3.OperationalError(text)
            error.sqlite_errorcode, error.sqlite_errorname = code, name
            raise error


def _counted(name: str) -> Callable[..., Any]:
    def call(self: Any, *arguments: Any) -> Any:
        self.plan.step()
        return getattr(super(type(self), self), name)(*arguments)

    return call


def _faulty(plan: Plan) -> type[sqlite3.Connection]:
    """Connections and cursors of this plan; SQLite calls each of these methods directly."""
    names = ("execute", "executemany", "executescript")
    methods: dict[str, Any] = {"plan": plan, **{name: _counted(name) for name in names}}
    cursor = type("FaultyCursor", (sqlite3.Cursor,), methods)

    def open_cursor(self: Any, factory: Any = cursor) -> Any:
        return sqlite3.Connection.cursor(self, factory)

    more = {"commit": _counted("commit"), "cursor": open_cursor}
    return type("FaultyConnection", (sqlite3.Connection,), {**methods, **more})


@contextmanager
def faults(home: Path, plan: Plan) -> Iterator[Plan]:
    """Plant a plan into every database of a home folder that is opened from here on."""
    original = sqlite3.connect

    def connect(database: Any, *arguments: Any, **options: Any) -> sqlite3.Connection:
        ours = Path(database).parent == home
        return original(
            database, *arguments, **({"factory": _faulty(plan)} if ours else {}), **options
        )

    sqlite3.connect = connect  # type: ignore[assignment]
    try:
        yield plan
    finally:
        sqlite3.connect = original
