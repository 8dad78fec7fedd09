"""One of several candidates: the loop of coder, act and tester, in a desktop of its own.

Each is a subgraph with checkpoints of its own, so that a run that was killed goes on in each
candidate where it was; those that had ended are not run again.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any, TypeVar, cast

from langchain_core.runnables import RunnableConfig
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import RetryPolicy

from checkpoints.lease import held_lease
from graphs import routing
from nodes.act import act
from nodes.candidates import result_of, share
from nodes.coder import coder
from nodes.context import Node, Services, Update, node
from nodes.spending import before_candidates
from nodes.state import State
from nodes.tester import tester

T = TypeVar("T")

PLACES = "places of candidates"
"""Where a lease keeps how many more candidates may work now."""


def make_branch(
    services: Services, retry: Sequence[RetryPolicy]
) -> CompiledStateGraph[Any, Any, Any, Any]:
    """Compile a candidate's loop; it uses the saver of the graph that it runs in."""
    builder = StateGraph(State)
    for role in (coder, act, tester):
        builder.add_node(role.__name__, node(services, role), retry_policy=retry)
    builder.add_edge(START, "coder")
    builder.add_conditional_edges("coder", routing.within(routing.after_coder), [*routing.INNER])
    builder.add_conditional_edges("act", routing.within(routing.after_act), [*routing.INNER])
    builder.add_conditional_edges("tester", routing.after_trial, ["coder", END])
    return builder.compile(name="candidate")


def candidate_node(services: Services, retry: Sequence[RetryPolicy]) -> Node:
    """Make the node that works out one candidate; as many as are allowed at once do so."""
    branch, settings = make_branch(services, retry), services.settings

    async def candidate(state: State, config: RunnableConfig) -> Update:
        return await unwound(_work_out(state, config))

    async def _work_out(state: State, config: RunnableConfig) -> Update:
        thread = str(config["configurable"].get("thread_id") or state["owner"])
        write, ended = get_stream_writer(), state
        async with _places(services, thread):
            calls = await asyncio.to_thread(services.ledger.calls, thread)
            before = before_candidates(state, thread, calls)
            given = share(before, settings.candidates_at_once)
            async for mode, item in branch.astream(given, config, stream_mode=["custom", "values"]):
                if mode == "custom":
                    write(item)
                else:
                    ended = cast("State", item)
            line = services.desktops.of_line(str(state["candidate"]))
            await line.kill_working(thread, "its candidate ended")
        return {"results": [result_of(ended)]}

    return candidate


async def unwound(work: Coroutine[Any, Any, T]) -> T:
    """Wait for work to end, also when it is cancelled, however often.

    When a step fails LangGraph cancels its other tasks twice; the second time would interrupt the
    first in a subgraph, and leave its nodes at work after the run has ended.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.cancel()
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        raise


def _places(services: Services, thread: str) -> asyncio.Semaphore:
    """The run's places for candidates; first come, first served."""
    lease = held_lease(services.settings.leases, thread)
    kept = lease.kept if lease else {}
    places: asyncio.Semaphore = kept.setdefault(
        PLACES, asyncio.Semaphore(services.settings.candidates_at_once)
    )
    return places
