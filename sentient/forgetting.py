"""Removing a thread with everything that is kept for it."""

from contextlib import suppress

from langgraph.checkpoint.base import BaseCheckpointSaver

from checkpoints.ledger import Ledger
from nodes.desktops import OWNER
from sentient.opening import Graph, config_of, open_graph
from tools.connection import Connection
from tools.desktop import delete_snapshot, kill_desktops
from tools.errors import SentientError
from tools.settings import Settings


async def forget(settings: Settings, ledger: Ledger, thread: str) -> None:
    """Remove a thread: its desktops and snapshots, its checkpoints, its lines in the ledger."""
    connection = Connection(settings)
    async with open_graph(settings) as graph:
        snapshots = await _snapshots(graph, thread)
        with suppress(SentientError):  # without a server there is nothing to remove there
            await kill_desktops(connection, {OWNER: thread})
            for snapshot in snapshots:
                await delete_snapshot(connection, snapshot)
        if isinstance(graph.checkpointer, BaseCheckpointSaver):
            await graph.checkpointer.adelete_thread(thread)
    ledger.forget_thread(thread)


async def _snapshots(graph: Graph, thread: str) -> set[str]:
    """Every snapshot that a checkpoint of the thread names."""
    found: set[str] = set()
    async for item in graph.aget_state_history(config_of(thread)):
        found.add(item.values.get("desktop", {}).get("snapshot", ""))
        found.add(item.values.get("base_snapshot", ""))
    return found - {""}
