"""Saver and ledger on real files."""

import sqlite3
from pathlib import Path

import pytest
from langgraph.checkpoint.base import empty_checkpoint

from checkpoints.ledger import Ledger
from checkpoints.sqlite import open_saver


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    opened = Ledger(tmp_path / "ledger.db")
    yield opened  # type: ignore[misc]
    opened.close()


class NotPlain:
    """Something that must not be constructed from checkpoint bytes."""

    def __init__(self) -> None:
        self.value = 1


async def test_saver_new_database_is_private_and_durable(tmp_path: Path) -> None:
    path = tmp_path / "new" / "checkpoints.db"
    async with open_saver(path) as saver:
        assert path.stat().st_mode & 0o777 == 0o600
        async with saver.conn.execute("PRAGMA journal_mode") as rows:
            assert await rows.fetchone() == ("wal",)
        async with saver.conn.execute("PRAGMA synchronous") as rows:
            assert await rows.fetchone() == (2,)


async def test_saver_foreign_type_is_not_constructed(tmp_path: Path) -> None:
    config = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}
    async with open_saver(tmp_path / "c.db") as saver:
        checkpoint = empty_checkpoint()
        checkpoint["channel_values"]["x"] = NotPlain()
        with pytest.raises(TypeError):
            await saver.aput(config, checkpoint, {}, {})


def test_ledger_same_run_twice_is_one_run(ledger: Ledger) -> None:
    test = {"id": "test_a.py::test_x", "outcome": "passed", "seconds": 0.1, "message": ""}
    for _ in range(2):
        ledger.save_test_run("t", "verdict", 1, [test], seconds=1.0)
    assert [row["outcome"] for row in ledger.test_history("t")] == ["passed"]


def test_ledger_patch_any_bytes_come_back(ledger: Ledger) -> None:
    text = b"diff \xff\xfe \xc3\xa9\r\n".decode("utf-8", "surrogateescape")
    assert ledger.patch(ledger.save_patch(text)) == text
    assert ledger.patch("unknown") is None


def test_ledger_forgotten_thread_is_gone(ledger: Ledger) -> None:
    ledger.save_thread("t", status="running")
    ledger.save_test_run("t", "baseline", 0, [])
    ledger.forget_thread("t")
    assert ledger.threads() == []
    assert ledger.test_history("t") == []


def test_ledger_file_is_private_sqlite(ledger: Ledger, tmp_path: Path) -> None:
    ledger.save_thread("t", status="running", source="x")
    assert (tmp_path / "ledger.db").stat().st_mode & 0o777 == 0o600
    with sqlite3.connect(tmp_path / "ledger.db") as other:
        assert other.execute("select id, status from threads").fetchall() == [("t", "running")]
    other.close()
