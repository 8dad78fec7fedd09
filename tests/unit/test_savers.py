"""The SQLite saver beyond the library's: the whole conformance kit, and histories of deltas."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, RemoveMessage
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.graph import StateGraph
from langgraph.graph.message import REMOVE_ALL_MESSAGES
from samples import ROOT

from checkpoints.deltas import CONVERSATION, merge_messages
from checkpoints.sqlite import SqliteSaver, open_saver


class Talk(TypedDict):
    messages: Annotated[list[AnyMessage], CONVERSATION]
    turns: int


def talk_graph(saver: Any) -> Any:
    """A graph that says one line a step until it has said as many as its first message asks."""

    async def speak(state: Talk) -> dict[str, Any]:
        turn = state.get("turns", 0) + 1
        return {"messages": [AIMessage(f"line {turn}")], "turns": turn}

    builder = StateGraph(Talk)
    builder.add_node("speak", speak)
    builder.set_entry_point("speak")
    builder.add_conditional_edges(
        "speak", lambda s: "speak" if s["turns"] < int(s["messages"][0].text) else "__end__"
    )
    return builder.compile(checkpointer=saver)


def config(thread: str, **more: Any) -> dict[str, Any]:
    return {"configurable": {"thread_id": thread, **more}, "recursion_limit": 200}


async def talk(graph: Any, thread: str, lines: int, **metadata: Any) -> list[str]:
    given = {"messages": [HumanMessage(str(lines))], "turns": 0}
    await graph.ainvoke(given, {**config(thread), "metadata": metadata}, durability="sync")
    return await said(graph, thread)


async def said(graph: Any, thread: str) -> list[str]:
    state = (await graph.aget_state(config(thread))).values
    return [message.text for message in state.get("messages", [])]


@pytest.fixture
async def saver(tmp_path: Path) -> AsyncIterator[SqliteSaver]:
    async with open_saver(tmp_path / "checkpoints.db") as opened:
        yield opened


def rows(path: Path, table: str = "checkpoints") -> list[tuple[Any, ...]]:
    with sqlite3.connect(path) as connection:
        found = connection.execute(f"select * from {table} order by 1, 2, 3, 4, 5").fetchall()
    connection.close()
    return found


async def test_conformance_sqlite_saver_has_and_passes_everything(tmp_path: Path) -> None:
    @checkpointer_test(name="SqliteSaver")
    async def factory() -> AsyncIterator[SqliteSaver]:
        async with open_saver(tmp_path / "conformance.db") as opened:
            yield opened

    report = await validate(factory)
    failures = [line for result in report.results.values() for line in result.failures]
    assert failures == []
    assert {name for name, result in report.results.items() if result.passed} == {
        "put", "put_writes", "get_tuple", "list", "delete_thread",
        "delete_for_runs", "copy_thread", "prune",
    }  # fmt: skip


@pytest.mark.parametrize("lines", [1, 7, 19, 20, 21, 45])
async def test_prune_conversation_of_deltas_is_kept_whole(
    saver: SqliteSaver, tmp_path: Path, lines: int
) -> None:
    graph = talk_graph(saver)
    before = await talk(graph, "t", lines)
    assert len(before) == lines + 1
    assert len(rows(tmp_path / "checkpoints.db")) == lines + 2
    await saver.aprune(["t"])
    assert len(rows(tmp_path / "checkpoints.db")) == 1
    assert len(rows(tmp_path / "checkpoints.db", "writes")) == 0
    assert await said(graph, "t") == before


async def test_prune_pruned_thread_goes_on_and_is_pruned_again(saver: SqliteSaver) -> None:
    graph = talk_graph(saver)
    first = await talk(graph, "t", 5)
    await saver.aprune(["t"])
    await graph.aupdate_state(config("t"), {"messages": [HumanMessage("more")]}, as_node="speak")
    await saver.aprune(["t"])
    second = await talk(graph, "t", 30)
    assert second[:7] == [*first, "more"]
    await saver.aprune(["t"])
    assert await said(graph, "t") == second


async def test_prune_keeps_a_pending_question(saver: SqliteSaver) -> None:
    graph = talk_graph(saver)
    given = {"messages": [HumanMessage("3")], "turns": 0}
    await graph.ainvoke(given, config("t"), interrupt_after=["speak"], durability="sync")
    await saver.aprune(["t"])
    await graph.ainvoke(None, config("t"), durability="sync")
    assert await said(graph, "t") == ["3", "line 1", "line 2", "line 3"]


async def test_prune_deltas_of_an_unknown_kind_change_nothing(
    saver: SqliteSaver, tmp_path: Path
) -> None:
    class Foreign(TypedDict):
        notes: Annotated[list[Any], DeltaChannel(lambda old, new: [*old, *new], list)]

    builder = StateGraph(Foreign)
    builder.add_node("note", lambda _: {"notes": "a"})
    builder.set_entry_point("note")
    graph = builder.compile(checkpointer=saver)
    await graph.ainvoke({"notes": "b"}, config("foreign"))
    await talk(talk_graph(saver), "known", 3)
    before = rows(tmp_path / "checkpoints.db")
    with pytest.raises(NotImplementedError, match="thread foreign holds notes as deltas"):
        await saver.aprune(["known", "foreign"])
    assert rows(tmp_path / "checkpoints.db") == before
    await saver.aprune(["known", "foreign"], strategy="delete")
    assert rows(tmp_path / "checkpoints.db") == []


async def test_prune_unknown_strategy_is_refused(saver: SqliteSaver) -> None:
    with pytest.raises(ValueError, match="'most' is no strategy"):
        await saver.aprune(["t"], strategy="most")


async def test_copy_thread_of_deltas_reads_the_same_at_every_checkpoint(
    saver: SqliteSaver,
) -> None:
    graph = talk_graph(saver)
    await talk(graph, "old", 25)
    await saver.acopy_thread("old", "new")
    histories = [
        [item.values async for item in graph.aget_state_history(config(thread))]
        for thread in ("old", "new")
    ]
    assert histories[0] == histories[1]
    await saver.adelete_thread("old")
    assert len(await said(graph, "new")) == 26


async def test_copy_thread_onto_a_used_thread_is_refused(saver: SqliteSaver) -> None:
    graph = talk_graph(saver)
    await talk(graph, "old", 1)
    await talk(graph, "used", 2)
    with pytest.raises(ValueError, match="used has checkpoints already"):
        await saver.acopy_thread("old", "used")
    assert len(await said(graph, "used")) == 3


async def test_delete_for_runs_later_runs_keep_what_was_said(saver: SqliteSaver) -> None:
    graph = talk_graph(saver)
    await talk(graph, "t", 4, run_id="first")
    before = await talk(graph, "t", 8, run_id="second")
    await saver.adelete_for_runs(["first"])
    assert await said(graph, "t") == before
    left = [item async for item in saver.alist(config("t"))]
    assert {item.metadata["run_id"] for item in left} == {"second"}
    assert left[-1].parent_config is None


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
import aiosqlite
from checkpoints.sqlite import open_saver

async def main(path, statement, call):
    execute = aiosqlite.Connection.execute
    def killed(self, sql, *args):
        if sql.startswith(statement):
            os.kill(os.getpid(), signal.SIGKILL)
        return execute(self, sql, *args)
    async with open_saver(Path(path)) as saver:
        aiosqlite.Connection.execute = killed
        await eval(call)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("statement", "call"),
    [
        ("INSERT INTO writes", "saver.acopy_thread('t', 'copy')"),
        ("DELETE FROM writes", "saver.aprune(['t', 'u'])"),
        ("DELETE FROM checkpoints", "saver.adelete_for_runs(['first'])"),
    ],
)
async def test_killed_in_the_middle_nothing_has_changed(
    saver: SqliteSaver, tmp_path: Path, statement: str, call: str
) -> None:
    graph = talk_graph(saver)
    await talk(graph, "t", 3, run_id="first")
    told = await talk(graph, "t", 6, run_id="second")
    await talk(graph, "u", 3)
    path = tmp_path / "checkpoints.db"
    before = rows(path), rows(path, "writes")
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(path), statement, call],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL
    assert (rows(path), rows(path, "writes")) == before
    assert await said(graph, "t") == told


def test_merge_messages_is_the_same_however_writes_are_batched() -> None:
    writes: list[Any] = [
        [HumanMessage("a", id="1")],
        [AIMessage("b", id="2"), AIMessage("c", id="3")],
        [RemoveMessage(id="1"), HumanMessage("d", id="1")],
        [AIMessage("changed", id="3")],
        [RemoveMessage(id=REMOVE_ALL_MESSAGES), HumanMessage("e", id="4")],
        [RemoveMessage(id="4")],
        [AIMessage("f", id="5")],
    ]
    whole = [merge_messages([], writes[:end]) for end in range(len(writes) + 1)]
    for start in range(len(writes) + 1):
        for end in range(start, len(writes) + 1):
            assert merge_messages(whole[start], writes[start:end]) == whole[end]
    assert [message.text for message in whole[4]] == ["d", "b", "changed"]
    assert [message.text for message in whole[7]] == ["f"]
