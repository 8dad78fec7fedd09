"""The saver on a real file."""

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
