"""The ledger's database file: opened at first use, one writer at a time, from any thread."""

import fcntl
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from checkpoints.ledger_schema import update_schema

Row = dict[str, Any]

BUSY_TIMEOUT_S = 10
"""How long a writer waits for another process's transaction."""


def time_text(moment: datetime) -> str:
    """A moment (with its zone) as the ledger writes times: ISO 8601 in UTC, to the millisecond."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


def now() -> str:
    """This moment, as the ledger writes times."""
    return time_text(datetime.now(UTC))


class LedgerFile:
    """Blocking; callers on an event loop use `to_thread`. Only its owner can read the file."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        self._path = path
        self._lock = threading.RLock()
        self._database: Database | None = None

    def _open(self) -> Database:
        if self._database is None:
            with self._path.with_suffix(".lock").open("w") as lock:
                # changing the journal mode does not wait for other processes by itself
                fcntl.flock(lock, fcntl.LOCK_EX)
                connection = sqlite3.connect(
                    self._path, check_same_thread=False, timeout=BUSY_TIMEOUT_S
                )
                try:
                    connection.execute("PRAGMA journal_mode=WAL")
                    connection.execute("PRAGMA synchronous=FULL")
                    update_schema(connection, self._path)
                    connection.execute("PRAGMA foreign_keys=ON")
                except BaseException:
                    connection.close()
                    raise
            self._database = Database(connection)
        return self._database

    def rows(self, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[Row]:
        """Read the rows of a query."""
        with self._lock:
            given = dict(values) if isinstance(values, Mapping) else list(values)
            return list(self._open().query(sql, given))

    @contextmanager
    def writing(self, *, durable: bool = True) -> Iterator[Database]:
        """One transaction: all of it is kept or nothing.

        Without `durable` it survives the end of this process, but perhaps not of the machine:
        for what can be found out again. That saves the wait for the disk.
        """
        with self._lock:
            database = self._open()
            connection = database.conn
            try:
                if not durable:
                    connection.execute("PRAGMA synchronous=NORMAL")
                connection.execute("BEGIN IMMEDIATE")
                yield database
                connection.commit()
                if not durable:
                    connection.execute("PRAGMA synchronous=FULL")
            except BaseException:
                self.close()  # ends the transaction; the next use opens it as it has to be
                raise

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None
