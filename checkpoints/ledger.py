"""The ledger: what happened, kept outside graph state, in SQLite through sqlite-utils.

Every writer derives its keys from what it records, so a node that runs again after a crash writes
the same rows. Open it with sqlite-utils or datasette (`docs/ledger.md`); nothing in it is secret.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from checkpoints.analyses import Analyses
from checkpoints.environments import Environments
from checkpoints.inventory import Inventory
from checkpoints.ledger_file import LedgerFile, Row, now
from checkpoints.ledger_schema import FAILING

FORGOTTEN = "forgotten"
"""Status of a thread whose removal has begun; it shows nowhere, and a prune finishes it."""

NO_SAVER = "none"
"""`saver` of a thread whose run kept no checkpoints: nothing can go on with it when it ends."""


_UNUSED = (
    "from patches where (at is null or julianday(at) < julianday('now') - 1)"
    " and sha256 not in (select patch from verdicts where patch is not null)"
    " and sha256 not in (select patch from test_runs where patch is not null)"
)
"""A patch is saved before its tests run, and named by a row only after that: hence the day."""


class Ledger:
    """Synchronous and safe to use from any thread; callers on an event loop use `to_thread`."""

    def __init__(self, path: Path) -> None:
        self._file = LedgerFile(path)
        self.inventory = Inventory(self._file)
        """The desktops and snapshots that exist on servers because of this ledger's threads."""
        self.analyses = Analyses(self._file)
        """What is known of the contents of repositories, whatever the thread."""
        self.environments = Environments(self._file)
        """What was installed for repositories, whatever the thread."""

    def close(self) -> None:
        """Close the database file."""
        self._file.close()

    def save_thread(self, thread_id: str, **values: Any) -> None:
        """Add or change a thread's line.

        `status` is running, waiting, stopped, failed, verified, unsolved or `FORGOTTEN`; while
        waiting, `detail` is the kind of question: plan, impossible, budget or review.
        """
        with self._file.writing() as database:
            _ensure_thread(database, thread_id)
            row = {"id": thread_id, **values, "updated": now()}
            database.table("threads").upsert(row, pk="id")

    def ensure_thread(self, thread_id: str) -> None:
        """Give a thread a line if it has none: what is recorded for it is somebody's."""
        with self._file.writing() as database:
            _ensure_thread(database, thread_id)

    def thread(self, thread_id: str) -> Row | None:
        """A thread's line, or None."""
        rows = self._file.rows("select * from threads where id = ?", [thread_id])
        return next((row for row in rows if row["status"] != FORGOTTEN), None)

    def input(self, thread_id: str) -> Row:
        """What a thread was started with."""
        row = self.thread(thread_id) or {}
        return dict(json.loads(row.get("input") or "{}"))

    def threads(self) -> list[Row]:
        """All threads, the one that changed last first."""
        query = "select * from threads where status is not ? order by updated desc"
        return self._file.rows(query, [FORGOTTEN])

    def half_forgotten(self) -> list[str]:
        """Threads whose removal began and was cut short."""
        rows = self._file.rows("select id from threads where status = ?", [FORGOTTEN])
        return [str(row["id"]) for row in rows]

    def forget_thread(self, thread_id: str) -> None:
        """Remove a thread with its runs, verdicts and costs; patches and analyses are shared.

        The lines of its desktops and snapshots stay for as long as these exist.
        """
        with self._file.writing() as database:
            database.table("threads").delete_where("id = ?", [thread_id])

    def save_test_run(
        self,
        thread_id: str,
        kind: str,
        attempt: int,
        tests: Iterable[Row],
        *,
        seconds: float | None = None,
        patch: str = "",
        snapshot: str = "",
        candidate: int = 0,
    ) -> str:
        """Record one run of the suite with every test in it; the same run twice is one row.

        `kind` is baseline, verdict, masked, again or alone; `tests` have id, outcome, seconds and
        message. It ran on the files of `snapshot` with `patch` (a saved one's SHA-256) applied,
        for one of several candidates unless that is 0. Returns its key.
        """
        place = _place(candidate, attempt)
        run = "/".join([thread_id, kind, place, *([patch[:12]] if patch else [])])
        row = {
            "id": run, "thread": thread_id, "kind": kind, "attempt": attempt, "at": now(),
            "snapshot": snapshot or None, "patch": patch or None, "seconds": seconds,
            "candidate": candidate or None,
        }  # fmt: skip
        with self._file.writing() as database:
            _ensure_thread(database, thread_id)
            database.table("test_runs").upsert(row, pk="id")
            database.table("outcomes").delete_where("run = ?", [run])
            database.table("outcomes").insert_all(
                [{**test, "run": run} for test in tests], pk=("run", "id"), replace=True
            )
        return run

    def test_history(self, thread_id: str) -> list[Row]:
        """Every recorded outcome of a thread, oldest run first."""
        return self._file.rows("select * from test_history where thread = ?", [thread_id])

    def save_verdict(
        self,
        thread_id: str,
        attempt: int,
        verdict: Mapping[str, Any],
        *,
        baseline: str,
        snapshot: str,
        candidate: int = 0,
    ) -> str:
        """Record what an attempt came to; the same attempt with the same patch is one row.

        Of the verdict `passed`, `reasons`, `patch`, `files` and `run` are kept, which is empty for
        a patch that was refused without one; it and `baseline` are keys of test runs; `snapshot`
        holds the coder's files. Returns its key.
        """
        patch, run = str(verdict["patch"]), str(verdict["run"])
        key = f"{thread_id}/{_place(candidate, attempt)}/{patch[:12]}"
        with self._file.writing() as database:
            _ensure_thread(database, thread_id)
            row = {
                "id": key, "thread": thread_id, "attempt": attempt,
                "passed": int(verdict["passed"]),
                "reasons": json.dumps(list(verdict["reasons"])), "patch": patch or None,
                "run": run or None,
                "failing_before": _failing(database, baseline),
                "failing_after": _failing(database, run),
                "snapshot": snapshot or None, "at": now(), "candidate": candidate or None,
            }  # fmt: skip
            database.table("verdicts").upsert(row, pk="id")
            database.table("changes").delete_where("verdict = ?", [key])
            database.table("changes").insert_all(
                [{**file, "verdict": key} for file in verdict["files"]],
                pk=("verdict", "path"),
                replace=True,
            )
        return key

    def save_cost(
        self,
        thread_id: str,
        node: str,
        attempt: int,
        call: str,
        usage: Mapping[str, Any],
        *,
        model: str,
        counted: bool = True,
        candidate: int = 0,
    ) -> None:
        """Record one answer of a model; `call` is the answer's id.

        Of `usage`, all of which `calls` gives back, the columns have `input_tokens`,
        `output_tokens` and `usd` (None without a price), unless they are estimates: not `counted`.
        A node that asks again after a crash gets, and pays for, another answer: another row.
        """
        tokens_in, tokens_out, usd = (
            usage[name] if counted else None for name in ("input_tokens", "output_tokens", "usd")
        )
        row = {
            "id": f"{thread_id}/{node}/{_place(candidate, attempt)}/{call}", "thread": thread_id,
            "node": node, "attempt": attempt, "call": call, "model": model,
            "input_tokens": tokens_in, "output_tokens": tokens_out, "usd": usd, "at": now(),
            "candidate": candidate or None, "usage": json.dumps(dict(usage)),
        }  # fmt: skip
        with self._file.writing() as database:
            _ensure_thread(database, thread_id)
            database.table("costs").upsert(row, pk="id")

    def calls(self, thread_id: str) -> list[tuple[str, int, Row]]:
        """Every answer that a thread ever had of a model: the node, the candidate or 0, its usage.

        Those of steps that failed, or were killed, or that the thread was rewound behind, too.
        """
        query = (
            "select node, candidate, usage from costs where thread = ? and usage is not null"
            " order by rowid"
        )
        return [
            (str(row["node"]), int(row["candidate"] or 0), json.loads(row["usage"]))
            for row in self._file.rows(query, [thread_id])
        ]

    def save_patch(self, text: str) -> str:
        """Keep a patch and return its SHA-256 (hex), under which `patch` finds it."""
        data = text.encode("utf-8", "surrogateescape")
        digest = hashlib.sha256(data).hexdigest()
        with self._file.writing() as database:
            database.table("patches").upsert(
                {"sha256": digest, "data": data, "at": now()}, pk="sha256"
            )
        return digest

    def patch(self, sha256: str) -> str | None:
        """The text of a patch, or None when this ledger does not have it."""
        rows = self._file.rows("select data from patches where sha256 = ?", [sha256])
        return bytes(rows[0]["data"]).decode("utf-8", "surrogateescape") if rows else None

    def unused_patches(self) -> list[str]:
        """Hashes of patches of no verdict and no test run, saved more than a day ago."""
        rows = self._file.rows(f"select sha256 {_UNUSED}")
        return [str(row["sha256"]) for row in rows]

    def delete_patches(self, hashes: Iterable[str]) -> None:
        """Delete those patches that are unused."""
        with self._file.writing() as database:
            for sha256 in hashes:
                database.execute(f"delete {_UNUSED} and sha256 = ?", [sha256])


def _place(candidate: int, attempt: int) -> str:
    """The part of a key that says whose attempt it was."""
    return f"{candidate}.{attempt}" if candidate else str(attempt)


def _ensure_thread(database: Database, thread_id: str) -> None:
    """A thread that was copied by other means than ours has no line before its first node ends."""
    row = {"id": thread_id, "source": "", "task": "", "status": "running", "created": now()}
    database.table("threads").insert({**row, "updated": now()}, pk="id", ignore=True)


def _failing(database: Database, run: str) -> int | None:
    """How many tests of a run do not hold; None for a run that is not known."""
    if not next(iter(database.table("test_runs").rows_where("id = ?", [run])), None):
        return None
    marks = ", ".join("?" for _ in FAILING)
    where = f"run = ? and outcome in ({marks})"
    return int(database.table("outcomes").count_where(where, [run, *FAILING]))
