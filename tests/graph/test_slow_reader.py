"""Who reads a run's stream slowly, or not at all, does not decide how fast it goes."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_stream_writer
from langgraph.graph import START, StateGraph

from checkpoints.lease import is_leased
from graphs.durable import DurableGraph
from nodes import events
from nodes.backlog import BEHIND
from tools.sink import Sink

CONFIG: RunnableConfig = {"configurable": {"thread_id": "t"}}
TOLD = 3 * BEHIND


class Steps(TypedDict, total=False):
    done: int


class Talker:
    """A graph whose first node says much, and whose last one notes that it is over."""

    def __init__(self, leases: Path, end: Callable[[], None] = lambda: None) -> None:
        self.over, self.leases, self._end = asyncio.Event(), leases, end
        builder = StateGraph(Steps)
        builder.add_node("talk", self.talk)
        builder.add_node("last", self.last)
        builder.add_edge(START, "talk").add_edge("talk", "last")
        compiled = builder.compile(checkpointer=InMemorySaver(), name="talker")
        self.graph = DurableGraph(leases=leases, sink=Sink({}), **vars(compiled))

    async def talk(self, _: Steps) -> Steps:
        write = get_stream_writer()
        for number in range(TOLD):
            write(events.Output(text=str(number)).model_dump())
        return {"done": 1}

    async def last(self, _: Steps) -> Steps:
        get_stream_writer()(events.Report(
            status="verified", summary="", patch="", attempts=1, seconds=0
        ).model_dump())  # fmt: skip
        self.over.set()
        self._end()
        return {"done": 2}


FORMS: list[tuple[dict[str, Any], Callable[[Any], Any]]] = [
    ({"stream_mode": "custom"}, lambda item: item),
    ({"stream_mode": ["custom"]}, lambda item: item[1]),
    ({"stream_mode": "custom", "subgraphs": True}, lambda item: item[1]),
    ({"stream_mode": "custom", "version": "v2"}, lambda item: item["data"]),
]


@pytest.mark.parametrize(("options", "event_of"), FORMS)
async def test_run_reader_that_stops_reading_holds_up_nothing_and_misses_counted_output(
    tmp_path: Path, options: dict[str, Any], event_of: Callable[[Any], Any]
) -> None:
    talker = Talker(tmp_path)
    told = []
    async for item in talker.graph.astream({"done": 0}, CONFIG, **options):
        if not told:
            await asyncio.wait_for(talker.over.wait(), 20)
        told.append(events.parse_event(event_of(item)))
    *output, dropped, report = told
    assert isinstance(dropped, events.Dropped)
    assert BEHIND <= len(output) <= BEHIND + 1
    assert len(output) + dropped.count == TOLD
    assert report.event == "report"


async def test_run_reader_of_values_gets_every_one_however_late(tmp_path: Path) -> None:
    talker = Talker(tmp_path)
    told = []
    async for item in talker.graph.astream({"done": 0}, CONFIG, stream_mode="values"):
        await asyncio.wait_for(talker.over.wait(), 20)
        told.append(item["done"])
    assert told == [0, 1, 2]


async def test_run_that_fails_ahead_of_its_reader_says_so_after_what_it_told(
    tmp_path: Path,
) -> None:
    def fail() -> None:
        raise RuntimeError("the last node fails")

    talker, told = Talker(tmp_path, fail), []

    async def read() -> None:
        async for event in talker.graph.astream({"done": 0}, CONFIG, stream_mode="custom"):
            await talker.over.wait()
            told.append(event["event"])

    with pytest.raises(RuntimeError, match="the last node fails"):
        await read()
    assert told[-1] == "report"
    assert (await talker.graph.aget_state(CONFIG)).next == ("last",)


async def test_run_reader_that_is_cancelled_ends_a_run_that_is_ahead_of_it(
    tmp_path: Path,
) -> None:
    begun, tidied = asyncio.Event(), []

    class Waiter(Talker):
        async def last(self, _: Steps) -> Steps:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                tidied.append("last")
            return {}

    waiter = Waiter(tmp_path)

    async def read_one() -> None:
        async for _ in waiter.graph.astream({"done": 0}, CONFIG, stream_mode="custom"):
            await asyncio.Event().wait()

    reading = asyncio.create_task(read_one())
    await asyncio.wait_for(begun.wait(), 20)
    assert is_leased(tmp_path, "t")
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    async with asyncio.timeout(5):  # a generator that is left is closed by the event loop
        while is_leased(tmp_path, "t"):
            await asyncio.sleep(0.01)
    assert tidied == ["last"]
    assert (await waiter.graph.aget_state(CONFIG)).next == ("last",)
