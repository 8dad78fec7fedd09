"""The registry: one SQLite file with a row for every desktop and snapshot that may exist.

A row is written before the thing it names is made and deleted after it is gone, so whatever a
crash leaves behind has an owner, and what has none may be swept.
"""

import json
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterable
from copy import copy
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from sentient_desktop.errors import UidError
from sentient_desktop.store.reserve import Reserve
from sentient_desktop.store.schema import Columns, update_schema

POOLED = "pooled"
"""State of a desktop that was booted ahead and is nobody's yet."""


@dataclass
class DesktopRecord:
    """The durable half of a desktop. Times are Unix seconds."""

    id: str
    template: str
    token: str
    started_at: float
    end_at: float
    timeout_s: int
    software: str = "base"
    """The built-in template whose packages it has; for one made from a snapshot, its origin's."""
    state: str = "running"
    """``running``, ``paused`` or POOLED; whether processes exist now is not recorded here."""
    uid: int | None = None
    """Host uid of the guest when the server is root; it owns the desktop's files."""
    layers: list[str] = field(default_factory=list)
    """Read-only layers below the writable one, bottom first."""
    envs: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    auto_pause: bool = False
    auto_pause_memory: bool = True
    auto_resume: bool = False
    internet: bool = False
    """Whether the desktop may reach what no network rule mentions."""
    network: dict[str, Any] = field(default_factory=dict)
    """The network policy as the client gave it (``allowOut``, ``maskRequestHost`` and so on)."""
    traffic_token: str = ""
    """What requests to ports must show; "" when the ports are public."""
    monitor_pid: int = 0
    """bubblewrap's pid and start time, for the sweep after a crash; 0 when not booted."""
    monitor_start: int = 0
    init_pid: int = 0
    """The guest's pid 1 as the host sees it, with its start time: the last one to go."""
    init_start: int = 0
    suspended: bool = False
    """Whether it is paused only because nobody used it: it wakes on use, and its time goes on."""
    owner: str = "default"
    """Whose API key made it; nobody else's sees it."""


CHOICES = (
    "software", "envs", "metadata", "auto_pause", "auto_pause_memory", "auto_resume", "internet",
    "network", "owner",
)  # fmt: skip
"""What the creator chose and a fork takes over; everything else is the fork's own."""


def new_record(template: str, *, timeout_s: int, **fields: Any) -> DesktopRecord:
    """Return the record of a desktop to be made now, with an id and a token of its own."""
    now = time.time()
    return DesktopRecord(
        id=f"i{secrets.token_hex(10)}",
        template=template,
        token=secrets.token_hex(20),
        started_at=now,
        end_at=now + timeout_s,
        timeout_s=timeout_s,
        **fields,
    )


def fork_record(parent: DesktopRecord, layers: list[str], timeout_s: int) -> DesktopRecord:
    """Return the record of a desktop that starts on ``layers`` with the parent's choices."""
    chosen = {name: copy(getattr(parent, name)) for name in CHOICES}
    traffic_token = parent.traffic_token and secrets.token_hex(20)
    return new_record(
        parent.template,
        timeout_s=timeout_s,
        layers=list(layers),
        traffic_token=traffic_token,
        **chosen,
    )


@dataclass
class SnapshotRecord:
    """An immutable disk. Deleting it frees the layers no other row names."""

    id: str
    desktop_id: str
    template: str
    created_at: float
    software: str = "base"
    uid: int | None = None
    layers: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    owner: str = "default"


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
