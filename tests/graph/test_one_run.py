"""One run a thread and synchronous durability, at every entry to a graph."""

import asyncio
import json
import operator
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from samples import Repo

from checkpoints.lease import ThreadBusyError, is_leased, thread_lease
from graphs.durable import DURABILITY, DurableGraph
from tools.errors import UsageError
from tools.sink import Sink

CONFIG: RunnableConfig = {"configurable": {"thread_id": "t"}}


class Log(TypedDict, total=False):
    log: Annotated[list[str], operator.add]


class Gate:
    """A graph of two nodes, the second of which waits until it is let through."""

    def __init__(self, leases: Path) -> None:
        self.entered, self.open = asyncio.Event(), asyncio.Event()
        builder = StateGraph(Log)
        builder.add_node("first", self.first)
        builder.add_node("second", self.second)
        builder.add_edge(START, "first").add_edge("first", "second")
        compiled = builder.compile(checkpointer=InMemorySaver(), name="gate")
        self.leases = leases
        self.graph = DurableGraph(leases=leases, sink=Sink({}), **vars(compiled)).with_config(
            tags=["copied"]
        )

    async def first(self, _: Log, config: RunnableConfig) -> Log:
        return {"log": [config["configurable"][DURABILITY]]}

    async def second(self, _: Log) -> Log:
        self.entered.set()
        await self.open.wait()
        return {"log": ["second"]}


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path)


async def invoke(graph: DurableGraph) -> Any:
    return await graph.ainvoke({"log": []}, CONFIG)


async def stream(graph: DurableGraph) -> Any:
    return [item async for item in graph.astream(None, CONFIG)]


async def events(graph: DurableGraph) -> Any:
    return [item async for item in graph.astream_events({"log": []}, CONFIG, version="v2")]


async def batch(graph: DurableGraph) -> Any:
    return await graph.abatch([{"log": []}], CONFIG)


async def update(graph: DurableGraph) -> Any:
    return await graph.aupdate_state(CONFIG, {"log": ["more"]})


async def blocking_update(graph: DurableGraph) -> Any:
    return graph.update_state(CONFIG, {"log": ["more"]})


@pytest.mark.parametrize("entry", [invoke, stream, events, batch, update, blocking_update])
async def test_run_thread_that_is_run_is_refused_at_every_entry(
    gate: Gate, entry: Callable[[DurableGraph], Awaitable[Any]]
) -> None:
    running = asyncio.create_task(invoke(gate.graph))
    await gate.entered.wait()
    with pytest.raises(ThreadBusyError, match="THREAD_BUSY: thread t is being run by process"):
        await entry(gate.graph)
    assert (await gate.graph.aget_state(CONFIG)).next == ("second",)
    gate.open.set()
    assert (await running)["log"] == ["sync", "second"]
    assert not is_leased(gate.leases, "t")


async def test_run_stream_left_early_gives_the_lease_back(gate: Gate) -> None:
    items = gate.graph.astream({"log": []}, CONFIG, stream_mode="updates")
    async for _ in items:
        assert is_leased(gate.leases, "t")
        break
    await items.aclose()  # type: ignore[attr-defined]
    assert not is_leased(gate.leases, "t")


async def test_run_cancelled_gives_the_lease_back(gate: Gate) -> None:
    running = asyncio.create_task(invoke(gate.graph))
    await gate.entered.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not is_leased(gate.leases, "t")


async def test_run_failing_gives_the_lease_back(gate: Gate) -> None:
    with pytest.raises(TypeError):
        await gate.graph.ainvoke({"log": 1}, CONFIG)
    assert not is_leased(gate.leases, "t")


async def test_run_caller_between_two_items_has_no_right_to_the_thread(gate: Gate) -> None:
    told = []
    async for item in gate.graph.astream({"log": []}, CONFIG, stream_mode="updates"):
        if not told:
            with pytest.raises(ThreadBusyError):
                await invoke(gate.graph)
        gate.open.set()
        told += [*item]
    assert told == ["first", "second"]


async def test_run_and_update_within_a_lease_use_it(gate: Gate) -> None:
    gate.open.set()
    with thread_lease(gate.leases, "t"):
        await invoke(gate.graph)
        await update(gate.graph)
        assert (await gate.graph.aget_state(CONFIG)).values["log"][-1] == "more"
        assert is_leased(gate.leases, "t")


async def test_run_other_threads_are_free(gate: Gate) -> None:
    running = asyncio.create_task(invoke(gate.graph))
    await gate.entered.wait()
    gate.open.set()
    other = await gate.graph.ainvoke({"log": []}, {"configurable": {"thread_id": "other"}})
    assert other == await running


async def test_run_any_durability_is_sync(gate: Gate) -> None:
    gate.open.set()
    for options in ({}, {"durability": "async"}, {"durability": "sync"}):
        thread: RunnableConfig = {"configurable": {"thread_id": str(options)}}
        assert (await gate.graph.ainvoke({"log": []}, thread, **options))["log"][0] == "sync"


@pytest.mark.parametrize(
    ("config", "options"),
    [
        (CONFIG, {"durability": "exit"}),
        (CONFIG, {"checkpoint_during": False}),
        ({"configurable": {"thread_id": "t", DURABILITY: "exit"}}, {}),
    ],
)
async def test_run_durability_exit_is_refused(
    gate: Gate, config: RunnableConfig, options: dict[str, Any]
) -> None:
    with pytest.raises(UsageError, match="durability 'exit'"):
        await gate.graph.ainvoke({"log": []}, config, **options)


async def test_run_without_thread_gives_a_lease_of_its_own_back(gate: Gate) -> None:
    gate.open.set()
    assert (await gate.graph.copy({"checkpointer": None}).ainvoke({"log": []}))["log"]
    [record] = gate.leases.glob("*.json")
    assert not is_leased(gate.leases, json.loads(record.read_text())["thread"])


async def test_run_with_another_task_on_a_thread_that_has_one_is_refused(
    engine_graph: Any, repo: Repo
) -> None:
    config: RunnableConfig = {"configurable": {"thread_id": "one-task"}}
    await engine_graph.ainvoke({"source": str(repo())}, config, interrupt_after=["prepare"])
    before = await engine_graph.aget_state(config)
    with pytest.raises(UsageError, match="one-task has a task already"):
        await engine_graph.ainvoke({"source": str(repo()), "approve": True}, config)
    assert (await engine_graph.aget_state(config)).config == before.config


async def test_run_sent_again_by_an_agent_server_that_was_ended_goes_on(
    engine_graph: Any, repo: Repo
) -> None:
    config: RunnableConfig = {
        "configurable": {"thread_id": "sent-again", "run_id": "8a2a5a96-4f7f-4b0e-9d0f-0a6f4e7c"},
    }
    given = {"source": str(repo())}
    await engine_graph.ainvoke(given, config, interrupt_after=["prepare"])
    desktop = (await engine_graph.aget_state(config)).values["desktop"]["id"]
    told = engine_graph.astream(given, config, stream_mode="updates", interrupt_after=["planner"])
    assert "prepare" not in [node async for update in told for node in update]
    assert (await engine_graph.aget_state(config)).values["desktop"]["id"] == desktop


async def test_run_synchronously_is_refused(gate: Gate) -> None:
    with pytest.raises(UsageError, match="ainvoke"):
        gate.graph.invoke({"log": []}, CONFIG)
