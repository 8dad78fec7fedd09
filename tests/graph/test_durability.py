"""Files belong to checkpoints: replay, fork, lost and dirty desktops."""

from typing import Any

import pytest
from desktops import kill_desktops
from e2b import AsyncSandbox, SandboxQuery, SandboxState
from langgraph.errors import GraphDrained
from langgraph.runtime import RunControl
from langgraph.types import Command
from samples import Repo
from scripted_model import Script, call

from nodes.desktops import OWNER
from tools.connection import Connection
from tools.desktop import Desktop, list_desktops
from tools.layout import MARKS, REPO
from tools.settings import Settings

APPEND = call("shell", command="echo '# once' >> calc.py")
GOOD = call("replace", path="calc.py", old="(len(values) + 1)", new="len(values)")
DONE = call("hand_in", summary="done")


def config(thread: str, **more: Any) -> dict[str, Any]:
    return {"configurable": {"thread_id": thread, **more}}


async def run_until(graph: Any, given: Any, thread: str, node: str) -> None:
    """Run up to (not into) a node, as a stopped process would leave it."""
    await graph.ainvoke(given, config(thread), interrupt_before=[node])


async def working_file(settings: Settings, thread: str) -> str:
    [desktop_id] = [d async for d in list_desktops(Connection(settings), {OWNER: thread})]
    desktop = await Desktop.connect(desktop_id, connection=Connection(settings))
    return await desktop.fs.read_file(f"{REPO}/calc.py")


async def test_resume_dirty_desktop_is_restored_before_the_node(
    scripted_graph: Any, repo: Repo, settings: Settings
) -> None:
    graph = scripted_graph(Script(coder=[APPEND, GOOD, DONE]))
    await run_until(graph, {"source": str(repo())}, "dirty", "tester")
    [desktop_id] = [d async for d in list_desktops(Connection(settings), {OWNER: "dirty"})]
    desktop = await Desktop.connect(desktop_id, connection=Connection(settings))
    [mark] = await desktop.fs.list_dir(MARKS)
    await desktop.fs.rename(mark.path, f"{MARKS}/dirty-by-a-dead-node")
    await desktop.fs.write_file(f"{REPO}/calc.py", "half written")
    state = await graph.ainvoke(None, config("dirty"))
    assert state["report"]["status"] == "verified", state["report"]


async def test_resume_lost_desktop_is_rebuilt_from_its_snapshot(
    scripted_graph: Any, repo: Repo, settings: Settings
) -> None:
    graph = scripted_graph(Script(coder=[APPEND, GOOD, DONE]))
    await run_until(graph, {"source": str(repo())}, "lost", "tester")
    assert await kill_desktops(Connection(settings), {OWNER: "lost"}) == 1
    events = [event async for event in graph.astream(None, config("lost"), stream_mode="custom")]
    assert [e["reason"] for e in events if e["event"] == "restored"] == ["the desktop is gone"]
    state = (await graph.aget_state(config("lost"))).values
    assert state["report"]["status"] == "verified"


@pytest.mark.long
async def test_copied_thread_gets_a_desktop_of_its_own(
    scripted_graph: Any, repo: Repo, settings: Settings
) -> None:
    graph = scripted_graph(Script(coder=[APPEND, GOOD, DONE]))
    await run_until(graph, {"source": str(repo())}, "original", "tester")
    state = (await graph.aget_state(config("original"))).values
    await graph.aupdate_state(config("copy"), state, as_node="act")
    result = await graph.ainvoke(None, config("copy"))
    assert result["report"]["status"] == "verified", result["report"]
    assert (await working_file(settings, "original")).count("# once") == 1


@pytest.mark.long
async def test_approval_desktop_is_paused_while_a_person_is_asked(
    engine_graph: Any, repo: Repo, settings: Settings
) -> None:
    await engine_graph.ainvoke({"source": str(repo()), "approve": True}, config("asked"))
    [asked] = (await engine_graph.aget_state(config("asked"))).interrupts
    assert asked.response_schema["type"] == "object"
    assert asked.value["kind"] == "plan"
    assert asked.value["plan"]["targets"]
    options = await Connection(settings).options()
    pages = AsyncSandbox.list(query=SandboxQuery(metadata={OWNER: "asked"}), **options)
    assert [item.state for item in await pages.next_items()] == [SandboxState.PAUSED]
    state = await engine_graph.ainvoke(Command(resume="approve"), config("asked"))
    assert state["report"]["status"] == "verified"


async def drain_at(graph: Any, given: Any, thread: str, event: str) -> None:
    control = RunControl()
    async for told in graph.astream(given, config(thread), stream_mode="custom", control=control):
        if told["event"] == event:
            control.request_drain()


@pytest.mark.long
async def test_run_drained_by_its_control_goes_on(engine_graph: Any, repo: Repo) -> None:
    with pytest.raises(GraphDrained):
        await drain_at(engine_graph, {"source": str(repo())}, "drained", "baseline")
    assert (await engine_graph.aget_state(config("drained"))).next == ("approval",)
    state = await engine_graph.ainvoke(None, config("drained"))
    assert state["report"]["status"] == "verified"
