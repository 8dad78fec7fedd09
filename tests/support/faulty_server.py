"""The n-th storage call of a server fails: planted by the nursery in a server that is a test's.

The calls that count are those of the server's own process on its data folder, and those that need
a descriptor: opening, making, renaming, flushing, SQLite's statements and commits, and the programs
that copy and delete trees. On SIGUSR2 the plan is read from ``fault.json`` beside the data folder:
``{"nth": 3, "error": "EIO"}``. What was hit is written to ``fault.hit``.
"""

import errno
import io
import json
import os
import signal
import socket
import sqlite3
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sentient_desktop.store import copying, layers, trees

ERRORS = ("EIO", "ENOSPC", "EMFILE")


class Faults:
    """Counts calls once a plan was read, and fails the one that is due."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = str(data_dir)
        self._plan, self._hit = data_dir.parent / "fault.json", data_dir.parent / "fault.hit"
        self._lock = threading.Lock()
        self._due, self._error, self._count = 0, "EIO", 0

    def arm(self, *_: object) -> None:
        plan = json.loads(self._plan.read_text())
        self._hit.unlink(missing_ok=True)
        with self._lock:
            self._due, self._error, self._count = plan["nth"], plan["error"], 0
        self._plan.unlink()  # tells that it was read

    def due(self, what: str, path: Any = None) -> int:
        """Return the error number to fail with, 0 for none."""
        if not self._due or (path is not None and not self._concerns(path)):
            return 0
        with self._lock:
            self._count += 1
            if self._count != self._due:
                return 0
            self._due = 0
        with original_open(self._hit, "w") as file:
            file.write(f"{what} {path or ''} {self._error}")
        return int(getattr(errno, self._error))

    def _concerns(self, path: Any) -> bool:
        if isinstance(path, int):
            return True
        return os.fsdecode(path).startswith(self._data_dir)

    def around(self, holder: Any, name: str, *, bare: bool = False) -> None:
        """Have a function fail; its first argument is the path, unless it is ``bare``."""
        original = getattr(holder, name)

        def faulty(*args: Any, **kwargs: Any) -> Any:
            if number := self.due(name, None if bare else args[0]):
                raise OSError(number, os.strerror(number))
            return original(*args, **kwargs)

        setattr(holder, name, faulty)


original_open: Callable[..., Any] = io.open


def plant(data_dir: Path) -> None:
    """Plant the faults in this process; it is about to be a server."""
    faults = Faults(data_dir)
    for name in ("open", "mkdir", "rename", "replace", "fsync", "chown"):
        faults.around(os, name)
    faults.around(io, "open")
    for holder, name in ((os, "pipe2"), (os, "pipe"), (socket, "socketpair"), (os, "memfd_create")):
        faults.around(holder, name, bare=True)
    for holder in (layers, copying, trees):
        if hasattr(holder, "flush"):
            faults.around(holder, "flush")
    _plant_in_tools(faults)
    _plant_in_sqlite(faults)
    signal.signal(signal.SIGUSR2, faults.arm)


def _plant_in_tools(faults: Faults) -> None:
    original = trees.run_tool

    def run_tool(command: list[str]) -> "subprocess.CompletedProcess[bytes]":
        if number := faults.due(command[0]):
            text = f"{command[0]}: cannot: {os.strerror(number)}\n"
            return subprocess.CompletedProcess(command, 1, b"", text.encode())
        return original(command)

    for module in (trees, layers, copying):
        if hasattr(module, "run_tool"):
            module.run_tool = run_tool


def _plant_in_sqlite(faults: Faults) -> None:
    original = sqlite3.connect

    class Connection(sqlite3.Connection):
        def _fail(self, what: str) -> None:
            if number := faults.due(f"sqlite {what}"):
                texts = {errno.ENOSPC: "database or disk is full", errno.EIO: "disk I/O error"}
                raise sqlite3.OperationalError(texts.get(number, "unable to open database file"))

        def execute(self, *args: Any, **kwargs: Any) -> Any:
            self._fail("execute")
            return super().execute(*args, **kwargs)

        def commit(self) -> None:
            self._fail("commit")
            super().commit()

        def __exit__(self, *caught: Any) -> Any:
            try:
                self._fail("commit")
            except sqlite3.OperationalError:
                self.rollback()
                raise
            return super().__exit__(*caught)

    def connect(*args: Any, **kwargs: Any) -> Any:
        return original(*args, **kwargs, factory=Connection)

    sqlite3.connect = connect  # type: ignore[assignment]
