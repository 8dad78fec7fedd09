"""The saver whose threads are in a Postgres database."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from checkpoints.deltas import settled
from checkpoints.encryption import WITNESS, check_key, serializer
from checkpoints.errors import SaverError

CONNECT_TIMEOUT_S = 10
"""How long a server may be away before an operation fails."""

CONNECTIONS = 4
TABLES: dict[LiteralString, LiteralString] = {
    "checkpoints": "checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, metadata",
    "checkpoint_blobs": "checkpoint_ns, channel, version, type, blob",
    "checkpoint_writes": (
        "checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob"
    ),
}
KEY: LiteralString = "thread_id, checkpoint_ns, checkpoint_id"
Pool = AsyncConnectionPool[psycopg.AsyncConnection[DictRow]]
Connection = psycopg.AsyncConnection[Any]

NEWEST: LiteralString = (
    "SELECT thread_id, checkpoint_ns, max(checkpoint_id) AS checkpoint_id FROM checkpoints"
    " WHERE thread_id = ANY(%s) GROUP BY thread_id, checkpoint_ns"
)
OF_RUNS: LiteralString = f"SELECT {KEY} FROM checkpoints WHERE metadata ->> 'run_id' = ANY(%s)"
FOLLOWERS: LiteralString = (
    f"SELECT {KEY} FROM checkpoints WHERE (thread_id, checkpoint_ns, parent_checkpoint_id)"
    f" IN ({OF_RUNS}) AND ({KEY}) NOT IN ({OF_RUNS})"
)
UNUSED_BLOBS: LiteralString = (
    "DELETE FROM checkpoint_blobs b WHERE thread_id = ANY(%s) AND NOT EXISTS (SELECT 1"
    " FROM checkpoints c WHERE c.thread_id = b.thread_id AND c.checkpoint_ns = b.checkpoint_ns"
    " AND c.checkpoint -> 'channel_versions' ->> b.channel = b.version)"
)


LOCK: LiteralString = "SELECT pg_try_advisory_lock(hashtext('checkpoints'))"


@dataclass(frozen=True)
class _Text:
    """A string on its way to the table of blobs."""

    value: str


class PostgresSaver(AsyncPostgresSaver):
    """The library's saver with what it lacks: copies, and deletion of parts of threads of deltas.

    Each of these is one transaction. Callers hold the leases of the threads they change.
    """

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Save a checkpoint with its strings as blobs.

        The library would put them into a JSON column, where they are never encrypted and where
        Postgres refuses NUL characters.
        """
        versions = checkpoint["channel_versions"]
        values = {
            name: _Text(value) if isinstance(value, str) and name in versions else value
            for name, value in checkpoint["channel_values"].items()
        }
        # a string that was stored inline, by the library alone, has no blob of its version yet
        texts = {n: versions[n] for n, value in values.items() if isinstance(value, _Text)}
        checkpoint = {**checkpoint, "channel_values": values}
        return await super().aput(config, checkpoint, metadata, {**new_versions, **texts})

    def _dump_blobs(
        self, thread_id: str, checkpoint_ns: str, values: dict[str, Any], versions: ChannelVersions
    ) -> list[tuple[str, str, str, str, str, bytes | None]]:
        plain = {n: v.value if isinstance(v, _Text) else v for n, v in values.items()}
        return super()._dump_blobs(thread_id, checkpoint_ns, plain, versions)

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy every checkpoint with its writes, under the same checkpoint ids.

        Raises:
            ValueError: the target thread has checkpoints already.
        """
        async with self.transaction() as inside:
            taken = "SELECT 1 FROM checkpoints WHERE thread_id = %s LIMIT 1"
            if await inside.rows(taken, str(target_thread_id)):
                raise ValueError(f"thread {target_thread_id} has checkpoints already")
            for table, columns in TABLES.items():
                await inside.run(
                    f"INSERT INTO {table} (thread_id, {columns})"
                    f" SELECT %s, {columns} FROM {table} WHERE thread_id = %s",
                    str(target_thread_id),
                    str(source_thread_id),
                )

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Delete the threads (`delete`), or all but the newest checkpoint of each namespace.

        Raises:
            NotImplementedError: a thread has delta channels of an unknown kind; none was changed.
        """
        if strategy != "keep_latest" or isinstance(thread_ids, str):
            await super().aprune(thread_ids, strategy=strategy)
            return
        threads = [str(thread) for thread in thread_ids]
        async with self.transaction() as inside:
            for place in await inside.rows(NEWEST, threads):
                await inside.settle(place)
            kept = f"({KEY}) NOT IN ({NEWEST})"
            for table in ("checkpoint_writes", "checkpoints"):
                query: LiteralString = f"DELETE FROM {table} WHERE thread_id = ANY(%s) AND {kept}"
                await inside.run(query, threads, threads)
            await inside.run(UNUSED_BLOBS, threads)

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete the checkpoints whose metadata name these as `run_id`, with their writes.

        A checkpoint of another run that follows a deleted one becomes the first of its line.

        Raises:
            NotImplementedError: such a follower has delta channels of an unknown kind.
        """
        runs = [str(run) for run in run_ids]
        async with self.transaction() as inside:
            for place in await inside.rows(FOLLOWERS, runs, runs):
                await inside.settle(place)
            threads = [row["thread_id"] for row in await inside.rows(OF_RUNS, runs)]
            for table in ("checkpoint_writes", "checkpoints"):
                await inside.run(f"DELETE FROM {table} WHERE ({KEY}) IN ({OF_RUNS})", runs)
            await inside.run(UNUSED_BLOBS, threads)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["_Inside"]:
        """A saver whose statements take effect together, when the block ends without an error."""
        assert isinstance(self.conn, AsyncConnectionPool)
        async with self.conn.connection() as connection, connection.transaction():
            await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            yield _Inside(connection, serde=self.serde)


class _Inside(PostgresSaver):
    """The saver inside one transaction."""

    async def rows(self, query: LiteralString, *values: Any) -> list[DictRow]:
        async with self._cursor() as cursor:
            return await (await cursor.execute(query, values)).fetchall()

    async def run(self, query: LiteralString, *values: Any) -> None:
        async with self._cursor() as cursor:
            await cursor.execute(query, values)

    async def settle(self, place: DictRow) -> None:
        """Make a checkpoint independent of its ancestors."""
        found = await self.aget_tuple({"configurable": dict(place)})
        if found is None or found.parent_config is None:
            return
        whole = await settled(self, found)
        config: RunnableConfig = {
            "configurable": {**found.config["configurable"], "checkpoint_id": None}
        }
        versions = whole.checkpoint["channel_versions"]
        await self.aput(config, whole.checkpoint, whole.metadata, versions)
        query: LiteralString = (
            f"UPDATE checkpoints SET parent_checkpoint_id = NULL WHERE ({KEY}) = (%s, %s, %s)"
        )
        await self.run(query, *place.values())


@asynccontextmanager
async def open_saver(url: str, key: bytes | None = None) -> AsyncIterator[PostgresSaver]:
    """Open the checkpoints in a Postgres database, making their tables where there are none.

    A connection that the server dropped is replaced at the next operation.

    Raises:
        SaverError: the server cannot be reached, refuses, or its checkpoints need another key.
    """
    options = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)  # its failures reach us as errors
    pool: Pool = AsyncConnectionPool(
        url, min_size=0, max_size=CONNECTIONS, timeout=CONNECT_TIMEOUT_S, kwargs=options,
        check=AsyncConnectionPool.check_connection, open=False,
    )  # fmt: skip
    async with await _connect(url) as first, pool:
        saver = PostgresSaver(pool, serde=serializer(key))
        await _take_turn(first)
        await saver.setup()
        await _check_key(saver, first)
        await first.close()
        yield saver


async def _connect(url: str) -> Connection:
    """Connect once, for the server's own words on why that fails; they hold no password."""
    hint = "check the address, the server and its credentials"
    try:
        return await psycopg.AsyncConnection.connect(
            url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S
        )
    except psycopg.ProgrammingError as error:  # quotes the address, with its password
        raise SaverError("the address of the checkpoints is malformed", hint) from error
    except psycopg.OperationalError as error:
        raise SaverError(f"the checkpoints cannot be reached: {error}", hint) from error


async def _take_turn(connection: Connection) -> None:
    """Wait until no other process makes the tables; the turn ends with the connection."""
    for _ in range(20 * CONNECT_TIMEOUT_S):  # waiting in the server would block who has the turn
        if await _answer(connection, LOCK):
            return
        await asyncio.sleep(0.05)
    raise SaverError("another process is making the tables of the checkpoints", "try again later")


async def _answer(connection: Connection, query: LiteralString, *values: Any) -> Any:
    """The first column of the first row."""
    row = await (await connection.execute(query, values)).fetchone()
    return row[0] if row else None


async def _check_key(saver: PostgresSaver, connection: Connection) -> None:
    """Compare the key with the database's; one that is encrypted for the first time gets this."""
    if not await _answer(connection, "SELECT to_regclass('checkpoint_key')"):
        if not isinstance(saver.serde, EncryptedSerializer):
            return
        kind, data = saver.serde.dumps_typed(WITNESS)
        async with connection.transaction():
            await connection.execute("CREATE TABLE checkpoint_key (type text, witness bytea)")
            await connection.execute("INSERT INTO checkpoint_key VALUES (%s, %s)", (kind, data))
    kind = await _answer(connection, "SELECT type FROM checkpoint_key")
    check_key(saver.serde, (kind, await _answer(connection, "SELECT witness FROM checkpoint_key")))
