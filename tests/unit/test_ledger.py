"""The ledger on real files: rows, views, versions."""

import json
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from filled_ledger import CLAMP, fill, two_tests
from samples import ROOT

from checkpoints.ledger import Ledger
from checkpoints.ledger_schema import FAILING, MIGRATIONS, LedgerTooNewError
from tools.results import FAILED

OLD = ROOT / "tests/golden/ledger-before-versions.sql"
"""A ledger as the program wrote it before ledgers had versions."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    opened = Ledger(path)
    yield opened
    opened.close()


def rows(path: Path, query: str) -> list[dict[str, Any]]:
    """Read a ledger as sqlite-utils shows it to a person."""
    command = [sys.executable, "-m", "sqlite_utils", "query", str(path), query]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def content(path: Path) -> dict[str, list[Any]]:
    """Every row of every table, without times."""
    with sqlite3.connect(path) as other:
        names = other.execute("select name from sqlite_master where type = 'table'").fetchall()
        found = {name: other.execute(f"select * from {name}").fetchall() for (name,) in names}
    other.close()
    return {
        name: [[cell for cell in row if not str(cell).startswith("20")] for row in table]
        for name, table in found.items()
    }


def test_ledger_failing_outcomes_are_those_of_test_runs() -> None:
    assert set(FAILING) == FAILED


def test_ledger_same_writes_twice_are_one_set_of_rows(ledger: Ledger, path: Path) -> None:
    fill(ledger)
    once = content(path)
    fill(ledger)
    assert content(path) == once
    assert sum(map(len, once.values())) > 15


def test_ledger_patch_any_bytes_come_back(ledger: Ledger) -> None:
    text = b"diff \xff\xfe \xc3\xa9\r\n".decode("utf-8", "surrogateescape")
    assert ledger.patch(ledger.save_patch(text)) == text
    assert ledger.patch("unknown") is None


def test_ledger_forgotten_thread_is_gone_with_all_that_belongs_to_it(
    ledger: Ledger, path: Path
) -> None:
    fill(ledger)
    fill(ledger, "other")
    ledger.forget_thread("t")
    assert [row["id"] for row in ledger.threads()] == ["other"]
    assert ledger.test_history("t") == []
    assert len(ledger.test_history("other")) == 6
    left = content(path)
    assert not any("t" in row or "t/baseline/0" in row for table in left.values() for row in table)


def test_ledger_thread_half_forgotten_shows_nowhere(ledger: Ledger) -> None:
    ledger.save_thread("t", status="forgotten")
    assert ledger.thread("t") is None
    assert ledger.threads() == []
    assert ledger.half_forgotten() == ["t"]


def test_ledger_run_of_an_unknown_thread_makes_the_thread_known(ledger: Ledger) -> None:
    ledger.save_test_run("copied", "baseline", 0, two_tests("failed", "passed"))
    assert [row["id"] for row in ledger.threads()] == ["copied"]


def test_ledger_run_with_an_unknown_patch_is_refused_whole(ledger: Ledger, path: Path) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        ledger.save_test_run("t", "verdict", 1, two_tests("passed", "passed"), patch="unknown")
    assert content(path)["test_runs"] == content(path)["threads"] == []


def test_ledger_file_is_private_sqlite(ledger: Ledger, path: Path) -> None:
    ledger.save_thread("t", status="running", source="x")
    assert path.stat().st_mode & 0o777 == 0o600
    assert rows(path, "select id, status from threads") == [{"id": "t", "status": "running"}]


def test_test_history_view_follows_a_test_over_threads_and_attempts(
    ledger: Ledger, path: Path
) -> None:
    fill(ledger)
    fill(ledger, "u")
    columns = "thread, kind, attempt, outcome, seconds"
    query = f"select {columns} from test_history where test = '{CLAMP}'"
    assert [tuple(row.values()) for row in rows(path, query)] == [
        (thread, kind, attempt, outcome, 0.1)
        for thread in ("t", "u")
        for kind, attempt, outcome in (
            ("baseline", 0, "passed"), ("verdict", 1, "timeout"), ("verdict", 2, "passed"),
        )
    ]  # fmt: skip
    with sqlite3.connect(path) as other:
        plan = other.execute(f"explain query plan {query}").fetchall()
    other.close()
    assert any("outcomes_of_test" in step[-1] for step in plan), plan


def test_attempt_changes_view_tells_what_each_attempt_came_to(ledger: Ledger, path: Path) -> None:
    fill(ledger)
    query = (
        "select attempt, files, lines_added, lines_removed, failing_before, failing_after,"
        " verdict, snapshot from attempt_changes"
    )
    assert [tuple(row.values()) for row in rows(path, query)] == [
        (1, '["calc.py"]', 1, 1, 1, 2, "failed", "s1"),
        (2, '["calc.py"]', 2, 1, 1, 0, "passed", "s2"),
        (3, "[]", None, None, 1, None, "refused", "s3"),
    ]


def test_thread_costs_view_unknown_price_is_null(ledger: Ledger, path: Path) -> None:
    fill(ledger)
    priced = {"input_tokens": 3, "output_tokens": 4, "usd": 0.5}
    ledger.save_cost("t", "reviewer", 1, "c", priced, model="priced")
    query = "select model, calls, input_tokens, output_tokens, usd from thread_costs"
    assert [tuple(row.values()) for row in rows(path, query)] == [
        ("m", 2, 20, None, None),
        ("priced", 1, 3, 4, 0.5),
    ]


def old_ledger(path: Path) -> Path:
    with sqlite3.connect(path) as old:
        old.executescript(OLD.read_text())
    old.close()
    return path


def test_ledger_from_before_versions_is_read_whole(path: Path) -> None:
    ledger = Ledger(old_ledger(path))
    thread = "calculator-0a1b2c"
    verified = ledger.thread(thread)
    assert verified is not None
    assert verified["status"] == "verified"
    assert ledger.input(thread) == {"source": "/src/calculator", "approve": False}
    history = [(row["kind"], row["attempt"], row["outcome"]) for row in ledger.test_history(thread)]
    assert sorted(history) == [
        ("baseline", 0, "failed"), ("baseline", 0, "passed"),
        ("verdict", 1, "passed"), ("verdict", 1, "passed"),
    ]  # fmt: skip
    [patch] = {row["patch"] for row in ledger.test_history(thread)} - {None}
    assert (ledger.patch(patch) or "").startswith("diff --git a/calc.py")
    assert {row["id"] for row in ledger.threads()} == {thread, "notes-ffeedd", "copied-in-studio"}
    fill(ledger)
    ledger.close()
    with sqlite3.connect(path) as other:
        assert other.execute("pragma foreign_key_check").fetchall() == []
        assert other.execute("pragma user_version").fetchone() == (len(MIGRATIONS),)
    other.close()


def test_ledger_migration_cut_short_leaves_the_old_ledger(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content(old_ledger(path))

    def fail(_: object) -> None:
        raise OSError("cut short")

    with monkeypatch.context() as patch:
        patch.setattr("checkpoints.ledger_schema.MIGRATIONS", (*MIGRATIONS, fail))
        with pytest.raises(OSError, match="cut short"):
            Ledger(path).threads()
    assert content(path) == before
    ledger = Ledger(path)
    assert len(ledger.threads()) == 3
    ledger.close()


def test_ledger_half_made_by_an_old_program_is_completed(path: Path) -> None:
    with sqlite3.connect(path) as old:
        old.execute(
            "create table threads (id text primary key, source text, task text, input text,"
            " status text, detail text, created text, updated text)"
        )
    old.close()
    ledger = Ledger(path)
    fill(ledger)
    ledger.close()


def test_ledger_of_a_newer_program_is_refused_and_left_alone(path: Path) -> None:
    with sqlite3.connect(path) as newer:
        newer.execute("pragma user_version = 99")
    newer.close()
    before = path.read_bytes()
    with pytest.raises(LedgerTooNewError, match="version 99, this program knows up to"):
        Ledger(path).threads()
    assert path.read_bytes()[100:] == before[100:]


def _write_for_ever(path: Path, ready: "multiprocessing.synchronize.Event") -> None:
    ledger = Ledger(path)
    for number in range(100_000):
        ledger.save_test_run("t", "verdict", number, two_tests("passed", "passed"))
        ready.set()


def test_ledger_writer_killed_leaves_whole_runs(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    writer = context.Process(target=_write_for_ever, args=(path, ready))
    writer.start()
    assert ready.wait(60)
    os.kill(writer.pid or 0, signal.SIGKILL)
    writer.join()
    assert rows(path, "select run, count(*) as n from outcomes group by run having n <> 2") == []
    with sqlite3.connect(path) as other:
        [(runs,)] = other.execute("select count(*) from test_runs").fetchall()
        [(with_tests,)] = other.execute("select count(distinct run) from outcomes").fetchall()
    other.close()
    assert runs == with_tests > 0
