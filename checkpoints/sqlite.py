"""The default saver: one SQLite file for all threads of a user."""

import asyncio
import fcntl
import json
import sqlite3
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from checkpoints.deltas import settled
from checkpoints.encryption import WITNESS, check_key, serializer

BUSY_TIMEOUT_MS = 5000
"""How long a writer waits for another process's transaction."""

IN_WAL_MODE = b"\2\2"
"""Bytes 18 and 19 of such a file."""

TABLES = ("checkpoints", "writes")
KEY = "thread_id, checkpoint_ns, checkpoint_id"
OF_RUNS = (
    f"SELECT {KEY} FROM checkpoints WHERE json_extract(CAST(metadata AS TEXT), '$.run_id')"
    " IN (SELECT value FROM json_each(?))"
)
T = TypeVar("T")
Place = tuple[str, str, str]
"""Where a checkpoint is: thread, namespace, id."""


class SqliteSaver(AsyncSqliteSaver):
    """The library's saver with what it lacks: copies of threads, and deletion of parts of them.

    Each of these is one transaction on a connection of its own, so no other writer sees half of
    it and a crash leaves all or nothing. Callers hold the leases of the threads they change.
    """

    def __init__(
        self, connection: aiosqlite.Connection, path: Path, serde: SerializerProtocol
    ) -> None:
        super().__init__(connection, serde=serde)
        self._path = path
        self._writing = set[asyncio.Future[Any]]()

    async def aput(self, *args: Any, **kwargs: Any) -> RunnableConfig:
        """Save a checkpoint, all of it also when whoever waits is cancelled."""
        return await self._whole(super().aput(*args, **kwargs))

    async def aput_writes(self, *args: Any, **kwargs: Any) -> None:
        """Save writes, all of them also when whoever waits is cancelled."""
        await self._whole(super().aput_writes(*args, **kwargs))

    async def adelete_thread(self, thread_id: str) -> None:
        """Delete a thread, whole also when whoever waits is cancelled."""
        await self._whole(super().adelete_thread(thread_id))

    async def _whole(self, writing: Coroutine[Any, Any, T]) -> T:
        """Let a transaction end before its cancellation does.

        Between a statement and its commit nothing may stop: for as long as the connection stays
        open, no other one could write.
        """
        task = asyncio.ensure_future(writing)
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait([task])
            raise

    async def written(self) -> None:
        """Wait for all that is being written; a connection closed meanwhile stays half open.

        LangGraph leaves writes behind when a step fails.
        """
        while self._writing:
            await asyncio.wait([*self._writing])

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy every checkpoint with its writes, under the same checkpoint ids.

        Raises:
            ValueError: the target thread has checkpoints already.
        """
        async with self.transaction() as inside:
            taken = "SELECT 1 FROM checkpoints WHERE thread_id = ? LIMIT 1"
            if await inside.conn.execute_fetchall(taken, (str(target_thread_id),)):
                raise ValueError(f"thread {target_thread_id} has checkpoints already")
            for table in TABLES:
                columns = await inside.conn.execute_fetchall(f"PRAGMA table_info({table})")
                names = ", ".join(name for _, name, *_ in columns if name != "thread_id")
                await inside.conn.execute(
                    f"INSERT INTO {table} (thread_id, {names})"
                    f" SELECT ?, {names} FROM {table} WHERE thread_id = ?",
                    (str(target_thread_id), str(source_thread_id)),
                )

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Delete the threads (`delete`), or all but the newest checkpoint of each namespace.

        Raises:
            NotImplementedError: a thread has delta channels of an unknown kind; none was changed.
        """
        if isinstance(thread_ids, str):
            raise TypeError("thread_ids must be a sequence of thread ids, not one of them")
        if strategy not in ("keep_latest", "delete"):
            raise ValueError(f"{strategy!r} is no strategy: use keep_latest or delete")
        async with self.transaction() as inside:
            for thread in map(str, thread_ids):
                kept: list[Place] = []
                if strategy == "keep_latest":
                    kept = await _newest(inside, thread)
                    for place in kept:
                        await _settle(inside, place)
                await _delete_all_but(inside, thread, kept)

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete the checkpoints whose metadata name these as `run_id`, with their writes.

        A checkpoint of another run that follows a deleted one becomes the first of its line.

        Raises:
            NotImplementedError: such a follower has delta channels of an unknown kind.
        """
        runs = json.dumps([str(run) for run in run_ids])
        followers = (
            f"SELECT {KEY} FROM checkpoints WHERE (thread_id, checkpoint_ns, parent_checkpoint_id)"
            f" IN ({OF_RUNS}) AND ({KEY}) NOT IN ({OF_RUNS})"
        )
        async with self.transaction() as inside:
            for place in await inside.conn.execute_fetchall(followers, (runs, runs)):
                await _settle(inside, (place[0], place[1], place[2]))
            for table in reversed(TABLES):
                query = f"DELETE FROM {table} WHERE ({KEY}) IN ({OF_RUNS})"
                await inside.conn.execute(query, (runs,))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSqliteSaver]:
        """A saver whose statements take effect together, when the block ends without an error."""
        async with _connect(self._path) as connection:
            await connection.execute("BEGIN IMMEDIATE")
            inside = AsyncSqliteSaver(connection, serde=self.serde)
            inside.is_setup = True  # setting up would end the transaction
            yield inside
            await connection.commit()


async def _newest(saver: AsyncSqliteSaver, thread: str) -> list[Place]:
    """The newest checkpoint of each namespace of a thread."""
    query = (
        "SELECT thread_id, checkpoint_ns, MAX(checkpoint_id) FROM checkpoints"
        " WHERE thread_id = ? GROUP BY checkpoint_ns"
    )
    rows = await saver.conn.execute_fetchall(query, (thread,))
    return [(row[0], row[1], row[2]) for row in rows]


async def _settle(saver: AsyncSqliteSaver, place: Place) -> None:
    """Make a checkpoint independent of its ancestors."""
    names = ("thread_id", "checkpoint_ns", "checkpoint_id")
    found = await saver.aget_tuple({"configurable": dict(zip(names, place, strict=True))})
    if found is None or found.parent_config is None:
        return
    whole = await settled(saver, found)
    kind, data = saver.serde.dumps_typed(whole.checkpoint)
    metadata = json.dumps(whole.metadata, ensure_ascii=False).encode()
    query = (
        "UPDATE checkpoints SET type = ?, checkpoint = ?, metadata = ?,"
        f" parent_checkpoint_id = NULL WHERE ({KEY}) = (?, ?, ?)"
    )
    await saver.conn.execute(query, (kind, data, metadata, *place))


async def _delete_all_but(saver: AsyncSqliteSaver, thread: str, kept: Sequence[Place]) -> None:
    for table in TABLES:
        query = f"DELETE FROM {table} WHERE thread_id = ?" + f" AND ({KEY}) <> (?, ?, ?)" * len(
            kept
        )
        await saver.conn.execute(query, (thread, *(part for place in kept for part in place)))


def _make(path: Path) -> None:
    """Make the file in WAL mode; changing the mode does not wait for other processes by itself."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(mode=0o600)
    with path.open("rb") as file:
        if file.read(20)[18:] == IN_WAL_MODE:
            return
    with path.with_name(f"{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_MS / 1000)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")


@asynccontextmanager
async def _connect(path: Path) -> AsyncIterator[aiosqlite.Connection]:
    async with aiosqlite.connect(path) as connection:
        await connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        await connection.execute("PRAGMA synchronous=FULL")
        yield connection


@asynccontextmanager
async def open_saver(path: Path, key: bytes | None = None) -> AsyncIterator[SqliteSaver]:
    """Open, or make, the checkpoint database at `path`, readable by its owner only.

    WAL with synchronous=FULL: a checkpoint that was acknowledged survives power loss.

    Raises:
        SaverError: the database was written with another key, or with one; nothing was changed.
    """
    await asyncio.to_thread(_make, path)
    async with _connect(path) as connection:
        saver = SqliteSaver(connection, path, serializer(key))
        await _check_key(saver)
        await saver.setup()
        try:
            yield saver
        finally:
            await saver.written()


async def _check_key(saver: SqliteSaver) -> None:
    """Compare the key with the database's; one that is encrypted for the first time gets this."""
    tables = "SELECT 1 FROM sqlite_master WHERE name = 'encryption'"
    if not await saver.conn.execute_fetchall(tables):
        if not isinstance(saver.serde, EncryptedSerializer):
            return
        async with saver.transaction() as inside:
            await inside.conn.execute(
                "CREATE TABLE IF NOT EXISTS encryption (id INTEGER PRIMARY KEY CHECK (id = 1),"
                " type TEXT NOT NULL, witness BLOB NOT NULL)"
            )
            await inside.conn.execute(
                "INSERT OR IGNORE INTO encryption VALUES (1, ?, ?)",
                saver.serde.dumps_typed(WITNESS),
            )
    [(kind, data)] = await saver.conn.execute_fetchall("SELECT type, witness FROM encryption")
    check_key(saver.serde, (kind, data))
