"""Threads that older versions stored are read, changed and resumed by this one.

`tests/golden/whole-messages.sql` is a database from when every checkpoint held the whole
conversation: a run on the calculator, stopped before its second `act`. Its desktop is long gone,
its snapshot too, so the tests give it a desktop with the same files first.
"""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from samples import ROOT, Repo
from scripted_model import Script, call

APPEND = call("shell", command="echo '# once' >> calc.py")
GOOD = call("replace", path="calc.py", old="(len(values) + 1)", new="len(values)")
DONE = call("hand_in", summary="done")
OLD: dict[str, Any] = {"configurable": {"thread_id": "golden"}}


@pytest.fixture(autouse=True)
def _golden(tmp_path: Path) -> None:
    """The saver of these tests opens the old database."""
    with sqlite3.connect(tmp_path / "checkpoints.db") as connection:
        connection.executescript((ROOT / "tests/golden/whole-messages.sql").read_text())
    connection.close()


async def give_desktop(graph: Any, repo: Repo) -> None:
    """Bring the old thread's files back, as its desktop had them after its first `act`."""
    other: dict[str, Any] = {"configurable": {"thread_id": "golden-files"}}
    await graph.ainvoke({"source": str(repo())}, other, interrupt_before=["act"])
    await graph.ainvoke(None, other, interrupt_after=["act"])
    made = (await graph.aget_state(other)).values
    names = ("base", "base_snapshot", "baseline", "desktop")
    await graph.aupdate_state(OLD, {name: made[name] for name in names}, as_node="coder")


async def test_old_thread_every_checkpoint_is_readable(scripted_graph: Any) -> None:
    graph = scripted_graph(Script())
    history = [item async for item in graph.aget_state_history(OLD)]
    assert [len(item.values.get("messages", [])) for item in history] == [4, 3, 2, 0, 0, 0, 0, 0]
    assert history[0].next == ("act",)


async def test_old_thread_resumed_gives_the_patch_of_an_undisturbed_run(
    scripted_graph: Any, repo: Repo, patch_of: Callable[[Any], str]
) -> None:
    graph = scripted_graph(Script(coder=[APPEND, GOOD, DONE]))
    await give_desktop(graph, repo)
    state = await graph.ainvoke(None, OLD)
    assert state["report"]["status"] == "verified", state["report"]
    fresh = await graph.ainvoke(
        {"source": str(repo())}, {"configurable": {"thread_id": "golden-fresh"}}
    )
    assert patch_of(state) == patch_of(fresh)
    assert [m.type for m in state["messages"]] == [m.type for m in fresh["messages"]]
    assert (await graph.aget_state(OLD)).values["messages"] == state["messages"]


async def test_old_thread_pruned_after_a_step_keeps_its_conversation(
    scripted_graph: Any, repo: Repo, saver: Any
) -> None:
    graph = scripted_graph(Script(coder=[APPEND, GOOD, DONE]))
    await give_desktop(graph, repo)
    await graph.ainvoke(None, OLD, interrupt_after=["act"])
    before = (await graph.aget_state(OLD)).values
    await saver.aprune(["golden"])
    assert len([item async for item in saver.alist(OLD)]) == 1
    assert (await graph.aget_state(OLD)).values == before
