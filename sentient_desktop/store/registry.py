"""The registry: one SQLite file with a row for every desktop and snapshot that may exist.

A row is written before the thing it names is made and deleted after it is gone, so whatever a
crash leaves behind has an owner, and what has none may be swept.
"""

import json
import secrets
import sqlite3
import threading
from collections.abc import Iterable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from sentient_desktop.errors import UidError
from sentient_desktop.store.records import DesktopRecord, SnapshotRecord
from sentient_desktop.store.reserve import Reserve
from sentient_desktop.store.schema import Columns, update_schema


class Registry:
    """Rows in WAL mode with synchronous=FULL: what a call returned from survives power loss.

    Every write blocks for about one fsync unless it says it need not; call from a worker thread.
    Safe between threads.
    """

    def __init__(self, path: Path) -> None:
        """Open or make the file, bringing an older one up to date.

        Raises:
            LaunchError: a newer program wrote it.
        """
        self._lock = threading.RLock()
        self._reserve = Reserve(path.with_name("reserve"))
        self._reserve.balance()
        connection = sqlite3.connect(path, check_same_thread=False)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        try:
            update_schema(connection, path, TABLES)
        except BaseException:
            connection.close()
            raise
        self._db = Database(connection)

    def save(self, *records: DesktopRecord | SnapshotRecord, durable: bool = True) -> None:
        """Insert or replace rows, all or none.

        Without ``durable`` they survive the end of this process but perhaps not of the machine:
        enough for facts about processes, which end with it too. It costs 0.2 ms.
        """
        connection = self._db.conn
        with self._lock:
            if durable:
                self._save(connection, records)
                return
            connection.execute("PRAGMA synchronous=NORMAL")
            try:
                self._save(connection, records)
            finally:
                connection.execute("PRAGMA synchronous=FULL")

    def _save(
        self, connection: sqlite3.Connection, records: Iterable[DesktopRecord | SnapshotRecord]
    ) -> None:
        """Commit rows; nothing that may fail comes after: who is told of an error has no row."""
        with connection:
            for record in records:
                connection.execute(*_upsert(record))

    def delete(self, record: DesktopRecord | SnapshotRecord) -> None:
        """Delete a row, on a full disk too; a missing one is fine."""
        with self._lock:
            try:
                self._delete(record)
            except sqlite3.OperationalError:
                if not self._reserve.spend():
                    raise
                self._delete(record)
            else:
                self._reserve.balance()

    def _delete(self, record: DesktopRecord | SnapshotRecord) -> None:
        self._db.table(_table_of(record)).delete_where("id = ?", [record.id])

    def desktops(self) -> list[DesktopRecord]:
        """Read every desktop row."""
        with self._lock:
            return [DesktopRecord(**_row(r, DesktopRecord)) for r in self._db["desktops"].rows]

    def snapshots(self) -> list[SnapshotRecord]:
        """Read every snapshot row."""
        with self._lock:
            return [SnapshotRecord(**_row(r, SnapshotRecord)) for r in self._db["snapshots"].rows]

    def fact(self, name: str, default: str) -> str:
        """Return a stored fact about this data folder, storing ``default`` the first time."""
        with self._lock:
            facts = self._db.table("facts")
            facts.insert({"name": name, "value": default}, pk="name", ignore=True)
            return str(facts.get(name)["value"])

    def save_with_uid(self, record: DesktopRecord, uids: range, left: set[int]) -> None:
        """Insert the row of a new desktop with a uid of take_uid(), before anybody takes another.

        Raises:
            UidError: all are taken.
        """
        with self._lock:
            record.uid = self.take_uid(uids, left)
            self.save(record)

    def take_uid(self, uids: range, left: set[int]) -> int:
        """Return the next host uid that no row has and that is not in ``left``.

        Goes round ``uids`` from a random start, so a uid comes back as late as possible.

        Raises:
            UidError: all are taken.
        """
        with self._lock:
            facts = self._db.table("facts")
            first = {"name": "next_uid", "value": str(uids.start + secrets.randbelow(len(uids)))}
            facts.insert(first, pk="name", ignore=True)
            start = int(facts.get("next_uid")["value"])
            taken = left | {
                uid
                for table in ("desktops", "snapshots")
                for (uid,) in self._db.execute(f"SELECT uid FROM {table}")  # noqa: S608 - constants
            }
            for step in range(len(taken) + 1):
                uid = uids[(start - uids.start + step) % len(uids)]
                if uid not in taken:
                    following = uids[(uid - uids.start + 1) % len(uids)]
                    facts.update("next_uid", {"value": str(following)})
                    return uid
            raise UidError(len(uids))

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._db.conn.close()


def _table_of(record: DesktopRecord | SnapshotRecord) -> str:
    return "desktops" if isinstance(record, DesktopRecord) else "snapshots"


def _upsert(record: DesktopRecord | SnapshotRecord) -> tuple[str, list[Any]]:
    """Return the statement and its values; columns this program does not know are left alone."""
    row = {key: _to_column(value) for key, value in asdict(record).items()}
    changes = ", ".join(f"{key} = excluded.{key}" for key in row)
    statement = (
        f"INSERT INTO {_table_of(record)} ({', '.join(row)})"  # noqa: S608 - names of our own
        f" VALUES ({', '.join('?' * len(row))}) ON CONFLICT (id) DO UPDATE SET {changes}"
    )
    return statement, list(row.values())


def _columns(kind: type[DesktopRecord] | type[SnapshotRecord]) -> Columns:
    simple: dict[Any, str] = {
        float: "FLOAT",
        int: "INTEGER",
        bool: "INTEGER",
        int | None: "INTEGER",
    }
    return {item.name: simple.get(item.type, "TEXT") for item in fields(kind)}


TABLES: dict[str, Columns] = {
    "desktops": _columns(DesktopRecord),
    "snapshots": _columns(SnapshotRecord),
    "facts": {"name": "TEXT", "value": "TEXT"},
}


def _to_column(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | dict) else value


def _row(row: dict[str, Any], kind: type[DesktopRecord] | type[SnapshotRecord]) -> dict[str, Any]:
    """Return a record's fields; what a row of an older program does not have stays the default."""
    values: dict[str, Any] = {}
    for item in fields(kind):
        value = row[item.name]
        if value is None:
            continue
        if item.type is bool:
            value = bool(value)
        elif str(item.type).startswith(("list", "dict")):
            value = json.loads(value)
        values[item.name] = value
    return values
