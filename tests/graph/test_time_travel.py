"""Going back and branching off by LangGraph's own calls: desktops have the checkpoint's files."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from desktops import kill_desktops
from langchain_core.messages import AIMessage, ToolCall
from samples import CALC, CALCULATOR, write_files
from scripted_model import Script, call, scripted_model

from checkpoints.ledger import Ledger
from checkpoints.sqlite import open_saver
from graphs.engineering import make_graph
from nodes.desktops import OWNER
from tools.connection import Connection
from tools.desktop import Desktop, list_desktops
from tools.layout import REPO
from tools.settings import Settings

THREAD = "travel"
GOOD = ("(len(values) + 1)", "len(values)")
CODER = [
    call("shell", command="echo '# one' >> calc.py"),
    call("shell", command="echo '# two' >> calc.py"),
    call("replace", path="calc.py", old=GOOD[0], new=GOOD[1]),
    call("hand_in", summary="done"),
]
FILES = [
    CALC,
    f"{CALC}# one\n",
    f"{CALC}# one\n# two\n",
    f"{CALC}# one\n# two\n".replace(*GOOD),
    f"{CALC}# one\n# two\n".replace(*GOOD),
]
"""calc.py before each of the decisions is carried out, and after the last."""


class Past:
    """A thread whose coder has handed in, its graph, and what its desktops hold."""

    def __init__(self, graph: Any, connection: Connection) -> None:
        self.graph, self._connection = graph, connection
        self.history: list[Any] = []

    def before(self, node: str) -> list[Any]:
        """The checkpoints that a node comes after, oldest first."""
        return [item for item in reversed(self.history) if item.next == (node,)]

    async def file(self, thread: str = THREAD) -> str:
        """calc.py in the one working desktop of a thread."""
        [found] = [d async for d in list_desktops(self._connection, {OWNER: thread})]
        desktop = await Desktop.connect(found, connection=self._connection)
        return await desktop.fs.read_file(f"{REPO}/calc.py")


@pytest.fixture(scope="module")
async def past(home: Any, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Past]:
    folder = tmp_path_factory.mktemp("travel")
    source = write_files(folder / "calculator", CALCULATOR)
    with scripted_model(Script(coder=CODER)) as url:
        settings = Settings(home=home, model="scripted", openai_base_url=url)
        connection = Connection(settings)
        async with open_saver(folder / "checkpoints.db") as saver:
            made = Past(make_graph(saver, settings), connection)
            given = {"source": str(source)}
            await made.graph.ainvoke(given, config(THREAD), interrupt_before=["tester"])
            made.history = [item async for item in made.graph.aget_state_history(config(THREAD))]
            yield made
        for thread in (THREAD, "travel-copied"):
            await kill_desktops(connection, {OWNER: thread})


def config(thread: str, **more: Any) -> dict[str, Any]:
    return {"configurable": {"thread_id": thread, **more}}


async def test_replay_from_every_checkpoint_starts_from_its_files(past: Past) -> None:
    decisions = past.before("act")
    assert len(decisions) == len(CODER)
    for number, checkpoint in reversed(list(enumerate(decisions))):
        await past.graph.ainvoke(None, checkpoint.config, interrupt_after=["act"])
        assert await past.file() == FILES[number + 1]
    for number, checkpoint in enumerate(decisions):
        await past.graph.ainvoke(None, checkpoint.config, interrupt_after=["act"])
        assert await past.file() == FILES[number + 1]


async def test_another_decision_at_an_old_checkpoint_starts_from_its_files(past: Past) -> None:
    for number, checkpoint in enumerate(past.before("act")):
        other = ToolCall(name="shell", args={"command": "echo '# other' >> calc.py"}, id="other")
        decision = AIMessage("", tool_calls=[other], id=checkpoint.values["messages"][-1].id)
        fork = await past.graph.aupdate_state(
            checkpoint.config, {"messages": [decision]}, as_node="coder"
        )
        state = await past.graph.ainvoke(None, fork, interrupt_after=["act"])
        assert await past.file() == f"{FILES[number]}# other\n"
        assert state["messages"][-1].tool_call_id == "other"
        assert len(state["messages"]) == len(checkpoint.values["messages"]) + 1


async def test_files_alone_can_be_taken_from_another_checkpoint(past: Past) -> None:
    [judged] = past.before("tester")
    start = past.before("coder")[0]
    fork = await past.graph.aupdate_state(
        judged.config, {"desktop": start.values["desktop"]}, as_node="act"
    )
    state = await past.graph.ainvoke(None, fork, interrupt_after=["tester"])
    assert state["verdict"]["reasons"] == ["nothing was changed"]
    assert await past.file() == FILES[0]


async def test_copied_thread_travels_without_the_original(past: Past, settings: Settings) -> None:
    first, *_, last = past.before("act")
    await past.graph.ainvoke(None, last.config, interrupt_after=["act"])
    await past.graph.checkpointer.acopy_thread(THREAD, "travel-copied")
    at = config("travel-copied", checkpoint_id=first.config["configurable"]["checkpoint_id"])
    await past.graph.ainvoke(None, at, interrupt_after=["act"])
    assert await past.file("travel-copied") == FILES[1]
    assert await past.file(THREAD) == FILES[4]
    ledger = Ledger(settings.home / "ledger.db")
    assert ledger.thread("travel-copied"), "or its snapshots would be nobody's"
    ledger.close()


async def test_replay_after_the_desktop_is_lost_starts_from_its_files(
    past: Past, settings: Settings
) -> None:
    second = past.before("act")[1]
    await kill_desktops(Connection(settings), {OWNER: THREAD})
    await past.graph.ainvoke(None, second.config, interrupt_after=["act"])
    assert await past.file() == FILES[2]
