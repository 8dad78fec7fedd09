"""The saver on a real file."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from langgraph.checkpoint.base import empty_checkpoint

from checkpoints.sqlite import open_saver


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


@pytest.mark.parametrize("turns", range(1, 6))
async def test_saver_write_that_is_cancelled_leaves_no_transaction_open(
    tmp_path: Path, turns: int
) -> None:
    config = {"configurable": {"thread_id": "t", "checkpoint_ns": "", "checkpoint_id": "c"}}
    async with open_saver(tmp_path / "c.db") as saver:
        for writing in (
            lambda: saver.aput(config, empty_checkpoint(), {}, {}),
            lambda: saver.aput_writes(config, [("x", 1)], "task"),
            lambda: saver.adelete_thread("t"),
        ):
            task = asyncio.ensure_future(writing())
            for _ in range(turns):  # the statement is with the connection's thread by then, or not
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await saver.conn.execute("SELECT 1")
            assert not saver.conn.in_transaction, "no other connection could write"


async def test_saver_closed_while_it_writes_leaves_the_database_to_others(tmp_path: Path) -> None:
    config = {"configurable": {"thread_id": "t", "checkpoint_ns": "", "checkpoint_id": "c"}}
    with closing(sqlite3.connect(tmp_path / "c.db", timeout=0)) as other:
        async with open_saver(tmp_path / "c.db") as saver:
            other.execute("BEGIN IMMEDIATE")
            left = asyncio.ensure_future(saver.aput_writes(config, [("x", 1)], "task"))
            await asyncio.sleep(0.1)  # it waits for the other's transaction
            asyncio.get_running_loop().call_later(0.1, other.rollback)
        other.execute("BEGIN IMMEDIATE")
    await left
