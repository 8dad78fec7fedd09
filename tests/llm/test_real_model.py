"""The whole graph with a real, very small model: transport, streaming, grammar, counts, errors.

It writes no useful code and calls no tool, so nothing here asks whether it solved anything.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from samples import Repo

from checkpoints.sqlite import open_saver
from graphs.engineering import make_graph
from nodes.events import parse_event
from tools.errors import ModelRequestError
from tools.settings import Settings

pytestmark = [pytest.mark.llm, pytest.mark.timeout(900)]


@pytest.fixture
def settings(settings: Settings, endpoint: str) -> Settings:
    """The tests' own, with the real model."""
    changes = {"model": "smollm2", "openai_base_url": endpoint, "answer_tokens": 400}
    return settings.model_copy(update={**changes, "model_timeout_s": 300})


def config(thread: str) -> Any:
    return {"configurable": {"thread_id": thread}}


async def test_real_model_runs_through_the_graph_and_is_counted(
    settings: Settings, repo: Repo, tmp_path: Path
) -> None:
    told, state = [], {}
    async with open_saver(tmp_path / "checkpoints.db") as saver:
        graph = make_graph(saver, settings)
        given = {"source": str(repo()), "max_attempts": 1, "max_tokens": 30_000}
        async for mode, item in graph.astream(
            given, config("real"), stream_mode=["custom", "values"]
        ):
            if mode == "custom":
                told.append(parse_event(item).model_dump())
            else:
                state = item
    report = state["report"]
    assert report["coder"] == "smollm2"
    assert report["status"] == "unsolved"
    plan = state["plan"]
    assert plan["steps"] or '"diagnosis"' in plan["notes"]  # its grammar held the answer to form
    used = report["usage"]
    assert used["calls"] >= 2
    assert used["input_tokens"] > 500
    assert used["output_tokens"] > 20
    assert any(event["event"] == "tokens" and event["node"] == "coder" for event in told)
    with closing(sqlite3.connect(settings.home / "ledger.db")) as ledger:
        [counted] = ledger.execute(
            "select count(*), sum(input_tokens), sum(output_tokens) from costs where thread='real'"
        )
    assert counted == (used["calls"], used["input_tokens"], used["output_tokens"])


async def test_real_model_conversation_beyond_its_context_is_a_typed_error(
    settings: Settings, repo: Repo, tmp_path: Path
) -> None:
    async with open_saver(tmp_path / "checkpoints.db") as saver:
        graph = make_graph(saver, settings)
        given = {"source": str(repo()), "task": "mend the mean. " * 6000, "max_attempts": 1}
        with pytest.raises(ModelRequestError, match="context"):
            await graph.ainvoke(given, config("too-long"))
        assert (await graph.aget_state(config("too-long"))).next == ("planner",)
