"""Every saver we ship: the whole public conformance kit, and histories of deltas."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.graph import StateGraph
from langgraph.graph.message import REMOVE_ALL_MESSAGES
from saver_fixtures import Open
from talks import config, said, talk, talk_graph

from checkpoints.deltas import merge_messages


async def everything(saver: Any) -> list[Any]:
    return [item async for item in saver.alist(None)]


async def test_conformance_saver_has_and_passes_everything(open_new: Open) -> None:
    @checkpointer_test(name="ours")
    async def factory() -> AsyncIterator[Any]:
        async with open_new() as opened:
            yield opened

    report = await validate(factory)
    failures = [line for result in report.results.values() for line in result.failures]
    assert failures == []
    assert {name for name, result in report.results.items() if result.passed} == {
        "put", "put_writes", "get_tuple", "list", "delete_thread",
        "delete_for_runs", "copy_thread", "prune",
    }  # fmt: skip


@pytest.mark.parametrize("lines", [1, 20, 45])
async def test_prune_conversation_of_deltas_is_kept_whole(saver: Any, lines: int) -> None:
    graph = talk_graph(saver)
    before = await talk(graph, "t", lines)
    assert len(before) == lines + 1
    assert len(await everything(saver)) == lines + 2
    await saver.aprune(["t"])
    [left] = await everything(saver)
    assert left.parent_config is None
    assert left.pending_writes == []
    assert await said(graph, "t") == before


async def test_prune_pruned_thread_goes_on_and_is_pruned_again(saver: Any) -> None:
    graph = talk_graph(saver)
    first = await talk(graph, "t", 5)
    await saver.aprune(["t"])
    await graph.aupdate_state(config("t"), {"messages": [HumanMessage("more")]}, as_node="speak")
    await saver.aprune(["t"])
    second = await talk(graph, "t", 30)
    assert second[:7] == [*first, "more"]
    await saver.aprune(["t"])
    assert await said(graph, "t") == second


async def test_prune_keeps_a_pending_question(saver: Any) -> None:
    graph = talk_graph(saver)
    given = {"messages": [HumanMessage("3")], "turns": 0}
    await graph.ainvoke(given, config("t"), interrupt_after=["speak"], durability="sync")
    await saver.aprune(["t"])
    await graph.ainvoke(None, config("t"), durability="sync")
    assert await said(graph, "t") == ["3", "line 1", "line 2", "line 3"]


async def test_prune_deltas_of_an_unknown_kind_change_nothing(saver: Any) -> None:
    class Foreign(TypedDict):
        notes: Annotated[list[Any], DeltaChannel(lambda old, new: [*old, *new], list)]

    builder = StateGraph(Foreign)
    builder.add_node("note", lambda _: {"notes": "a"})
    builder.set_entry_point("note")
    graph = builder.compile(checkpointer=saver)
    await graph.ainvoke({"notes": "b"}, config("foreign"))
    await talk(talk_graph(saver), "known", 3)
    before = await everything(saver)
    with pytest.raises(NotImplementedError, match="thread foreign holds notes as deltas"):
        await saver.aprune(["known", "foreign"])
    assert await everything(saver) == before
    await saver.aprune(["known", "foreign"], strategy="delete")
    assert await everything(saver) == []


async def test_prune_unknown_strategy_is_refused(saver: Any) -> None:
    with pytest.raises(ValueError, match="'most'"):
        await saver.aprune(["t"], strategy="most")


async def test_copy_thread_of_deltas_reads_the_same_at_every_checkpoint(
    saver: Any,
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


async def test_copy_thread_onto_a_used_thread_is_refused(saver: Any) -> None:
    graph = talk_graph(saver)
    await talk(graph, "old", 1)
    await talk(graph, "used", 2)
    with pytest.raises(ValueError, match="used has checkpoints already"):
        await saver.acopy_thread("old", "used")
    assert len(await said(graph, "used")) == 3


async def test_delete_for_runs_later_runs_keep_what_was_said(saver: Any) -> None:
    graph = talk_graph(saver)
    await talk(graph, "t", 4, run_id="first")
    before = await talk(graph, "t", 8, run_id="second")
    await saver.adelete_for_runs(["first"])
    assert await said(graph, "t") == before
    left = [item async for item in saver.alist(config("t"))]
    assert {item.metadata["run_id"] for item in left} == {"second"}
    assert left[-1].parent_config is None


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
