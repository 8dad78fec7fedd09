"""The graph with the saver of this home folder: what every command that reads a thread opens."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph.state import CompiledStateGraph

from checkpoints.savers import open_saver
from graphs.engineering import make_graph
from graphs.faults import storage_errors
from tools.errors import UsageError
from tools.settings import Settings
from tools.sink import Sink

Graph = CompiledStateGraph[Any, Any, Any, Any]


@asynccontextmanager
async def open_graph(settings: Settings) -> AsyncIterator[Graph]:
    """Open the checkpoints of these settings; the saver is the graph's `checkpointer`.

    Raises:
        UsageError: they are at an address of no known kind.
        StorageError: they, or the ledger, cannot be used, now or anywhere in the block.
    """
    where, key = settings.checkpoints.get_secret_value(), settings.aes_key
    try:
        opening = open_saver(where, settings.home, key.get_secret_value().encode() if key else None)
    except ValueError as error:
        raise UsageError(str(error)) from error
    with storage_errors(), Sink.of(settings).errors():
        async with opening as saver:
            yield make_graph(saver, settings)


def saver_of(graph: Graph) -> BaseCheckpointSaver[Any]:
    """The saver that `open_graph` opened."""
    saver = graph.checkpointer
    assert isinstance(saver, BaseCheckpointSaver)
    return saver


def config_of(thread: str, checkpoint: str = "") -> RunnableConfig:
    """How LangGraph is told which thread is meant, and which of its checkpoints (the newest)."""
    at = {"checkpoint_id": checkpoint} if checkpoint else {}
    return {"configurable": {"thread_id": thread, **at}}
