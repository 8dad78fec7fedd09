"""The ledger: what happened, kept outside graph state, in SQLite through sqlite-utils.

Tables: `threads` (one line a task), `test_runs` and `outcomes` (per test), `analyses` (by git
tree), `patches` (by hash). Open it with sqlite-utils or datasette; nothing in it is secret.
"""

import fcntl
import hashlib
import json
import sqlite3
import threading
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlite_utils import Database

Row = dict[str, Any]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class Ledger:
    """Synchronous and safe to use from any thread; callers on an event loop use `to_thread`."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        self._lock = threading.RLock()
        self._path = path
        self._database: Database | None = None

    def _open(self) -> Database:
        if self._database is None:
            with self._path.with_suffix(".lock").open("w") as lock:
                # changing the journal mode does not wait for other processes by itself
                fcntl.flock(lock, fcntl.LOCK_EX)
                connection = sqlite3.connect(self._path, check_same_thread=False, timeout=10)
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=FULL")
                database = Database(connection)
                _create_tables(database)
            self._database = database
        return self._database

    def close(self) -> None:
        """Close the database file."""
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None

    def save_thread(self, thread_id: str, **values: Any) -> None:
        """Add or change a thread's line; `status` is running, waiting, verified or unsolved."""
        with self._lock:
            table = self._open().table("threads")
            known = next(iter(table.rows_where("id = ?", [thread_id])), {"created": _now()})
            table.upsert({**known, "id": thread_id, **values, "updated": _now()}, pk="id")

    def thread(self, thread_id: str) -> Row | None:
        """A thread's line, or None."""
        with self._lock:
            return next(iter(self._open().table("threads").rows_where("id = ?", [thread_id])), None)

    def save_input(self, thread_id: str, given: Row) -> None:
        """Keep what a thread was started with, for a crash before its first checkpoint."""
        self.save_thread(thread_id, input=json.dumps(given))

    def input(self, thread_id: str) -> Row:
        """What a thread was started with."""
        row = self.thread(thread_id) or {}
        return dict(json.loads(row.get("input") or "{}"))

    def threads(self) -> list[Row]:
        """All threads, the one that changed last first."""
        with self._lock:
            return list(self._open().table("threads").rows_where(order_by="updated desc"))

    def forget_thread(self, thread_id: str) -> None:
        """Remove a thread with its test runs; patches and analyses stay, they are shared."""
        with self._lock:
            database = self._open()
            database.table("outcomes").delete_where(
                "run in (select id from test_runs where thread = ?)", [thread_id]
            )
            database.table("test_runs").delete_where("thread = ?", [thread_id])
            database.table("threads").delete_where("id = ?", [thread_id])

    def save_test_run(
        self, thread_id: str, kind: str, attempt: int, tests: Iterable[Row], **values: Any
    ) -> str:
        """Record one run of the suite with every test in it; the same run twice is one row.

        `kind` is baseline or verdict; `tests` have id, outcome, seconds and message.
        """
        run = f"{thread_id}/{kind}/{attempt}"
        rows = [{**test, "run": run} for test in tests]
        with self._lock:
            database = self._open()
            with database.conn:
                database.table("test_runs").upsert(
                    {"id": run, "thread": thread_id, "kind": kind, "attempt": attempt,
                     "at": _now(), **values},
                    pk="id", alter=True,
                )  # fmt: skip
                database.table("outcomes").delete_where("run = ?", [run])
                database.table("outcomes").insert_all(rows, pk=("run", "id"), replace=True)
        return run

    def test_history(self, thread_id: str) -> list[Row]:
        """Every recorded outcome of a thread, oldest run first."""
        query = (
            "select test_runs.kind, test_runs.attempt, outcomes.* from outcomes"
            " join test_runs on outcomes.run = test_runs.id where test_runs.thread = ?"
            " order by test_runs.at, outcomes.rowid"
        )
        with self._lock:
            return list(self._open().query(query, [thread_id]))

    def save_patch(self, text: str) -> str:
        """Keep a patch and return its SHA-256 (hex), under which `patch` finds it."""
        data = text.encode("utf-8", "surrogateescape")
        digest = hashlib.sha256(data).hexdigest()
        with self._lock:
            self._open().table("patches").upsert({"sha256": digest, "data": data}, pk="sha256")
        return digest

    def patch(self, sha256: str) -> str | None:
        """The text of a patch, or None when this ledger does not have it."""
        with self._lock:
            rows = list(self._open().table("patches").rows_where("sha256 = ?", [sha256]))
        return bytes(rows[0]["data"]).decode("utf-8", "surrogateescape") if rows else None

    def save_analysis(self, tree: str, analysis: str) -> None:
        """Keep a repository analysis (JSON) under the git tree it describes."""
        with self._lock:
            self._open().table("analyses").upsert(
                {"tree": tree, "analysis": analysis, "at": _now()}, pk="tree"
            )

    def analysis(self, tree: str) -> str | None:
        """The analysis of a git tree, or None."""
        with self._lock:
            rows = list(self._open().table("analyses").rows_where("tree = ?", [tree]))
        return str(rows[0]["analysis"]) if rows else None


def _create_tables(database: Database) -> None:
    columns: Mapping[str, Mapping[str, type]] = {
        "threads": {
            "id": str, "source": str, "task": str, "input": str, "status": str, "detail": str,
            "created": str, "updated": str,
        },
        "analyses": {"tree": str, "analysis": str, "at": str},
        "patches": {"sha256": str, "data": bytes},
        "test_runs": {
            "id": str, "thread": str, "kind": str, "attempt": int, "at": str,
            "seconds": float, "patch": str,
        },
        "outcomes": {"run": str, "id": str, "outcome": str, "seconds": float, "message": str},
    }  # fmt: skip
    keys: Mapping[str, str | tuple[str, str]] = {
        "threads": "id", "analyses": "tree", "patches": "sha256", "test_runs": "id",
        "outcomes": ("run", "id"),
    }  # fmt: skip
    for name, types in columns.items():
        database.table(name).create(dict(types), pk=keys[name], if_not_exists=True)
