"""The whole graph with the offline engine, on real desktops."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from milestones import CALCULATOR_MILESTONES, milestones
from samples import Repo, tree_of

from nodes.desktops import OWNER
from tools.connection import Connection
from tools.desktop import list_desktops
from tools.settings import Settings


def config(thread: str) -> dict[str, Any]:
    return {"configurable": {"thread_id": thread}}


async def test_engine_wrong_mean_gets_verified_patch_and_leaves_snapshots_only(
    engine_graph: Any,
    repo: Repo,
    patch_of: Callable[[Any], str],
    settings: Settings,
    tmp_path: Path,
) -> None:
    source = repo()
    before = tree_of(source)
    told, state = [], {}
    async for mode, item in engine_graph.astream(
        {"source": str(source)}, config("engine-mean"), stream_mode=["custom", "values"]
    ):
        state = item if mode == "values" else state
        told += [item] if mode == "custom" else []
    assert milestones(told) == CALCULATOR_MILESTONES
    assert state["report"]["status"] == "verified", state["report"]
    assert "diff --git a/calc.py b/calc.py" in patch_of(state)
    assert state["report"]["fixed"] == [
        "test_calc.py::test_mean_of_two",
        "test_calc.py::test_mean_of_one",
    ]
    assert tree_of(source) == before
    owned = list_desktops(Connection(settings), {OWNER: "engine-mean"})
    assert [desktop async for desktop in owned] == []
    history = [item async for item in engine_graph.aget_state_history(config("engine-mean"))]
    snapshots = [item.values["desktop"]["snapshot"] for item in history if "desktop" in item.values]
    assert len(set(snapshots)) >= 5
    assert all(snapshots)
    database = sum(file.stat().st_size for file in tmp_path.glob("checkpoints.db*"))
    assert database / len(history) < 100_000


@pytest.mark.long
async def test_engine_unrepairable_repository_is_unsolved_with_reason(
    engine_graph: Any, repo: Repo
) -> None:
    source = repo(
        {
            "words.py": "def plural(word):\n    raise NotImplementedError\n",
            "test_words.py": (
                "from words import plural\n\n\ndef test_box():\n"
                "    assert plural('box') == 'boxes'\n"
                "\n\ndef test_city():\n    assert plural('city') == 'cities'\n"
            ),
        }
    )
    state = await engine_graph.ainvoke({"source": str(source)}, config("engine-unsolved"))
    assert state["report"]["status"] == "unsolved"
    assert "offline engine" in state["report"]["summary"]
