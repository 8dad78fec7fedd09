"""Where a thread is, between the writes of a node and the checkpoint that they make."""

from typing import Any

from samples import Repo
from scripted_model import Script, call

from sentient.endings import read_ending

GOOD = call("replace", path="calc.py", old="(len(values) + 1)", new="len(values)")


async def test_read_ending_writes_without_their_checkpoint_are_no_end(
    scripted_graph: Any, saver: Any, repo: Repo
) -> None:
    graph = scripted_graph(Script(coder=[GOOD, call("hand_in", summary="done")]))
    config: Any = {"configurable": {"thread_id": "between"}}
    await graph.ainvoke({"source": str(repo())}, config, interrupt_before=["act"])
    before = await graph.aget_state(config)
    # as a process leaves it that dies when `act` is done and its checkpoint is not yet written
    await saver.aput_writes(before.config, [("messages", [])], before.tasks[0].id)
    assert (await graph.aget_state(config)).next == ()
    assert (await read_ending(graph, "between")).kind == "stopped"
