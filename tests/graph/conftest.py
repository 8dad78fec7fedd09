"""Runs of the graph in process, on the shared embedded server, with its own database per test."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from catalogue_fixtures import carry_out, planned
from langgraph.graph.state import CompiledStateGraph
from scripted_model import Script, scripted_model

from checkpoints.ledger import Ledger
from checkpoints.sqlite import open_saver
from graphs.engineering import make_graph
from tools.settings import Settings

__all__ = ["carry_out", "planned"]

Graph = CompiledStateGraph[Any, Any, Any, Any]


@pytest.fixture
async def saver(tmp_path: Path) -> AsyncIterator[Any]:
    async with open_saver(tmp_path / "checkpoints.db") as opened:
        yield opened


@pytest.fixture
def engine_graph(saver: Any, settings: Settings) -> Graph:
    """The graph with the offline engine as its coder."""
    return make_graph(saver, settings)


@pytest.fixture
def scripted_graph(saver: Any, settings: Settings) -> Any:
    """Makes the graph with a model that answers from a script, over HTTP."""
    servers = []

    def make(script: Script, **changes: Any) -> Graph:
        server = scripted_model(script)
        servers.append(server)
        configured = settings.model_copy(
            update={"model": "scripted", "openai_base_url": server.__enter__(), **changes}
        )
        return make_graph(saver, configured)

    yield make
    for server in servers:
        server.__exit__(None, None, None)


@pytest.fixture
def patch_of(home: Path) -> Callable[[dict[str, Any]], str]:
    """The patch text that a final state names."""
    ledger = Ledger(home / "ledger.db")
    return lambda state: ledger.patch(state["report"]["patch"]) or ""
