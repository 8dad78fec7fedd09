"""Several candidates through the whole graph, with a scripted model that tells them apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from samples import Repo
from scripted_model import Answer, Script, call

from checkpoints.ledger import Ledger
from nodes.candidates import APPROACHES
from nodes.desktops import OWNER
from nodes.events import parse_event
from tools.connection import Connection
from tools.desktop import list_desktops
from tools.settings import Settings

OLD = "sum(values) / (len(values) + 1)"
LONG = call(
    "replace",
    path="calc.py",
    old=f"    return {OLD}",
    new="    total = sum(values)\n    return total / len(values)",
)
SHORT = call("replace", path="calc.py", old=OLD, new="sum(values) / len(values)")
DONE = call("hand_in", summary="divided by the number of values")


@dataclass
class Several(Script):
    """A script for each candidate: the one of its approach."""

    coders: Sequence[Sequence[Answer]] = ()

    def answer(self, request: dict[str, Any]) -> Answer:
        asked = "\n".join(str(message["content"]) for message in request["messages"][:2])
        told = [n for n, approach in enumerate(APPROACHES) if approach and approach in asked]
        self.coder = self.coders[told[0] if told else 0]
        return super().answer(request)


def config(thread: str) -> dict[str, Any]:
    return {"configurable": {"thread_id": thread}}


async def test_candidates_smallest_verified_patch_is_delivered(
    scripted_graph: Any, repo: Repo, settings: Settings, patch_of: Any
) -> None:
    script = Several(coders=[[LONG, DONE], [SHORT, DONE]])
    events, state = [], {}
    given = {"source": str(repo()), "candidates": 2}
    async for mode, item in scripted_graph(script).astream(
        given, config("several"), stream_mode=["custom", "values"]
    ):
        if mode == "custom":
            assert parse_event(item).model_dump() == item
            events.append(item)
        else:
            state = item
    report = state["report"]
    assert report["status"] == "verified"
    shown = [(r["candidate"], r["passed"], r["lines"], r["fixed"]) for r in report["candidates"]]
    assert shown == [(2, True, 2, 2), (1, True, 3, 2)]
    assert "+    return sum(values) / len(values)\n" in patch_of(state)
    assert [d async for d in list_desktops(Connection(settings), {OWNER: "several"})] == []
    assert report["usage"]["calls"] == 2 + 2 * 2
    who = {(e["candidate"], e["node"]) for e in events if e["event"] == "finished"}
    assert who == {
        *((0, name) for name in ("prepare", "planner", "approval", "spread", "choose")),
        *((n, name) for n in (1, 2) for name in ("coder", "act", "tester")),
        *((0, name) for name in ("reviewer", "deliver")),
    }
    [ranking] = [event for event in events if event["event"] == "ranking"]
    assert [result["candidate"] for result in ranking["results"]] == [2, 1]
    assert not [event for event in events if event["event"] in ("restored", "failed")]
    ledger = Ledger(settings.home / "ledger.db")
    rows = {(row["kind"], row["candidate"]) for row in ledger.test_history("several")}
    ledger.close()
    assert {("baseline", None), ("verdict", 1), ("verdict", 2)} <= rows
