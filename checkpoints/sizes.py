"""How many bytes each checkpoint takes in the database."""

from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

QUERY = """
select checkpoint_id, length(checkpoint) + length(metadata) + coalesce(
    (select sum(length(value)) from writes where writes.thread_id = checkpoints.thread_id
     and writes.checkpoint_ns = '' and writes.checkpoint_id = checkpoints.checkpoint_id), 0)
from checkpoints where thread_id = ? and checkpoint_ns = ''
"""


async def stored_sizes(saver: BaseCheckpointSaver[Any], thread: str) -> dict[str, int] | None:
    """Bytes of each checkpoint by id, with what was written from it; None for other databases."""
    if not isinstance(saver, AsyncSqliteSaver):
        return None
    async with saver.lock, saver.conn.execute(QUERY, (thread,)) as rows:
        return {str(row[0]): int(row[1]) for row in await rows.fetchall()}
