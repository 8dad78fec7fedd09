"""A graph of one node that works on the files of its desktop, as the application's nodes do.

As a program, ``python -m benchmarks.durable_step HOME THREAD``, it takes the thread one step on and
is killed in the middle of that step.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph

from checkpoints.sqlite import open_saver
from graphs.durable import DurableGraph
from graphs.engineering import make_services
from nodes.context import Step, Update, node
from nodes.state import State
from tools.layout import REPO
from tools.settings import Settings

CHANGED = 3
"""Files of the repository that a step changes."""

Work = Callable[[State, Step], Awaitable[Update]]


def thread_config(thread: str) -> RunnableConfig:
    """Return the configuration of a run; the graph itself sees to its durability."""
    return {"configurable": {"thread_id": thread}, "recursion_limit": 2000}


@asynccontextmanager
async def open_graph(home: Path, work: Work) -> AsyncIterator[tuple[Any, Any]]:
    """Give the graph, whose node repeats until it has used up ``max_attempts``, and its saver."""
    services = make_services(Settings(home=home, model="none"))
    builder: StateGraph[State] = StateGraph(State)
    builder.add_node("work", node(services, work))
    builder.add_edge(START, "work")
    builder.add_conditional_edges("work", _next)
    async with open_saver(home / "threads.db") as saver:
        compiled = builder.compile(checkpointer=saver)
        leases, sink = services.settings.leases, services.sink
        yield DurableGraph(leases=leases, sink=sink, **vars(compiled)), saver


def _next(state: State) -> str:
    return "work" if state.get("steps", 0) < state["max_attempts"] else END


async def change_files(state: State, step: Step) -> Update:
    """Change some files of the repository and tell of it, as a coder's tool calls do."""
    desktop = await step.desktop()
    number = state.get("steps", 0)
    for file in range(CHANGED):
        await desktop.fs.write_file(f"{REPO}/d{file}/f{file}.py", f"value = {time.time_ns()}\n")
    call = {"name": "replace", "args": {"path": "d0/f0.py", "new": "x" * 300}, "id": f"c{number}"}
    answer = ToolMessage("replaced 1 line" * 20, tool_call_id=f"c{number}")
    messages = [AIMessage("", tool_calls=[call]), answer] if number else []
    return {"steps": number + 1, "messages": messages}


async def _change_and_die(state: State, step: Step) -> Update:
    await change_files(state, step)
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


async def _die(home: Path, thread: str) -> None:
    async with open_graph(home, _change_and_die) as (graph, _):
        await graph.aupdate_state(thread_config(thread), {"max_attempts": 2000}, as_node="work")
        await graph.ainvoke(None, thread_config(thread))


if __name__ == "__main__":
    asyncio.run(_die(Path(sys.argv[1]), sys.argv[2]))
