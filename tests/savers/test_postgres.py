"""What holds of Postgres alone: restarts, servers that are away, addresses with passwords."""

import asyncio
from typing import Any

import psycopg
import pytest
from langchain_core.messages import AIMessage
from postgres import Postgres
from samples import Repo, Run
from talks import config, said, talk_graph

from checkpoints.errors import SaverError
from checkpoints.postgres import open_saver
from graphs.faults import storage_errors
from tools.errors import StorageError


@pytest.fixture
def url(server: Postgres) -> str:
    return server.make_database("restarts")


async def run_through(graph: Any, thread: str, pause: Any) -> list[str]:
    """Say three lines, with something that happens after each."""
    async for _ in graph.astream(
        {"messages": [AIMessage("3")], "turns": 0}, config(thread), durability="sync"
    ):
        await asyncio.to_thread(pause)
    return await said(graph, thread)


async def test_postgres_restarted_between_steps_the_run_goes_on(url: str, server: Postgres) -> None:
    def restart() -> None:
        server.stop()
        server.start()

    async with open_saver(url) as saver:
        lines = await run_through(talk_graph(saver), "restarted", restart)
    assert lines == ["3", "line 1", "line 2", "line 3"]


async def test_postgres_gone_in_a_run_is_a_typed_error_and_the_run_is_resumed(
    url: str, server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("checkpoints.postgres.CONNECT_TIMEOUT_S", 1)
    async with open_saver(url) as saver:
        try:
            with pytest.raises(StorageError, match="in Postgres cannot be used"), storage_errors():
                await run_through(talk_graph(saver), "gone", server.stop)
        finally:
            server.start()
    async with open_saver(url) as saver:
        graph = talk_graph(saver)
        assert (await said(graph, "gone"))[0] == "3"
        await graph.ainvoke(None, config("gone"), durability="sync")
        assert await said(graph, "gone") == ["3", "line 1", "line 2", "line 3"]


async def test_postgres_opened_by_many_at_once_has_its_tables_made_once(server: Postgres) -> None:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE fresh")

    async def use(number: int) -> list[str]:
        async with open_saver(server.url("fresh")) as saver:
            graph = talk_graph(saver)
            given = {"messages": [AIMessage("1")], "turns": 0}
            await graph.ainvoke(given, config(str(number)), durability="sync")
            return await said(graph, str(number))

    assert await asyncio.gather(*map(use, range(5))) == [["1", "line 1"]] * 5


async def test_postgres_text_with_nul_is_stored(url: str) -> None:
    async with open_saver(url) as saver:
        given = {"configurable": {"thread_id": "nul", "checkpoint_ns": ""}}
        checkpoint: Any = {
            "v": 4, "id": "1", "ts": "", "channel_values": {"text": "a\0b"},
            "channel_versions": {"text": "1"}, "versions_seen": {}, "updated_channels": None,
        }  # fmt: skip
        await saver.aput(given, checkpoint, {}, {"text": "1"})
        found = await saver.aget_tuple(given)
    assert found is not None
    assert found.checkpoint["channel_values"] == {"text": "a\0b"}


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("postgresql://u:geheim@127.0.0.1:1/db", "cannot be reached: .*Connection refused"),
        ("postgresql://u:geheim@%zz/db", "is malformed"),
        ("postgresql://u:geheim@/db?host=/nonexistent", "cannot be reached: "),
        ("postgresql://u:geheim@/db?nonsense=1", "is malformed"),
    ],
)
async def test_postgres_unreachable_is_one_error_without_the_password(
    where: str, message: str
) -> None:
    with pytest.raises(SaverError, match=message) as refused:
        await open_saver(where).__aenter__()
    assert "geheim" not in str(refused.value)


@pytest.mark.parametrize(
    ("where", "code", "message"),
    [
        ("postgresql://u:geheim@127.0.0.1:1/db", 4, "the checkpoints cannot be reached: "),
        ("mysql://u:geheim@db/x", 2, "checkpoints are at sqlite:///PATH or postgresql://..., not "),
        ("geheim", 2, "checkpoints are at sqlite:///PATH or postgresql://..., not "),
    ],
)
def test_command_address_that_cannot_be_used_is_one_line_and_leaves_no_thread(
    where: str, code: int, message: str, sentient: Run, repo: Repo
) -> None:
    done = sentient("fix", str(repo()), "--thread", "no-saver", "--checkpoints", where)
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith(f"sentient: {message}")
    assert done.stderr.count("\n") == 1
    assert "geheim" not in done.stderr
    assert "no-saver" not in sentient("threads").stdout


@pytest.mark.long
def test_command_keeps_a_thread_in_postgres(url: str, sentient: Run, repo: Repo) -> None:
    done = sentient(
        "fix", str(repo()), "--thread", "in-pg", "--model", "none", "--checkpoints", url
    )
    assert done.returncode == 0, done.stderr
    shown = sentient("show", "in-pg", env={"SENTIENT_CHECKPOINTS": url})
    assert "verified" in shown.stdout
    with psycopg.connect(url) as connection:
        query = "SELECT count(*) FROM checkpoints WHERE thread_id = 'in-pg'"
        [(number,)] = connection.execute(query).fetchall()
    assert number > 7
