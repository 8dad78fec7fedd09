"""The graph with the saver of this home folder: what every command that reads a thread opens."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.graph.state import CompiledStateGraph

from checkpoints.sqlite import open_saver
from graphs.engineering import make_graph
from tools.settings import Settings

Graph = CompiledStateGraph[Any, Any, Any, Any]


@asynccontextmanager
async def open_graph(settings: Settings) -> AsyncIterator[Graph]:
    """Open the checkpoints of `settings.home`; the saver is the graph's `checkpointer`."""
    async with open_saver(settings.home / "checkpoints.db") as saver:
        yield make_graph(saver, settings)


def config_of(thread: str, checkpoint: str = "") -> RunnableConfig:
    """How LangGraph is told which thread is meant, and which of its checkpoints (the newest)."""
    at = {"checkpoint_id": checkpoint} if checkpoint else {}
    return {"configurable": {"thread_id": thread, **at}}
