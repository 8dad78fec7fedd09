"""Several candidates through the whole graph, with a scripted model that tells them apart."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langgraph.errors import GraphDrained
from langgraph.runtime import RunControl
from pydantic import SecretStr
from samples import Repo
from scripted_model import Script, call, scripted_model

from checkpoints.ledger import Ledger
from checkpoints.retention import named_in
from nodes.candidates import APPROACHES
from nodes.desktops import OWNER
from nodes.events import parse_event
from sentient.opening import open_graph, saver_of
from sentient.past.compare import compare
from sentient.past.story import tell
from sentient.past.timeline import read_timeline
from sentient.past.travel import fork, rewind
from sentient.runs import Runs
from tools.connection import Connection
from tools.desktop import list_desktops
from tools.errors import ModelError, UsageError
from tools.settings import Settings

OLD = "sum(values) / (len(values) + 1)"
LONG = call(
    "replace",
    path="calc.py",
    old=f"    return {OLD}",
    new="    total = sum(values)\n    return total / len(values)",
)
SHORT = call("replace", path="calc.py", old=OLD, new="sum(values) / len(values)")
READ = call("read_file", path="calc.py")
DONE = call("hand_in", summary="divided by the number of values")


SECOND = APPROACHES[1]
"""What the second candidate alone is told."""


def config(thread: str, **more: Any) -> dict[str, Any]:
    return {"configurable": {"thread_id": thread, **more}}


async def follow(
    graph: Any, given: Any, thread: Any, listen: Callable[[Any], None], **options: Any
) -> None:
    async for event in graph.astream(given, thread, stream_mode="custom", **options):
        listen(event)


async def test_candidates_stopped_and_resumed_smallest_verified_patch_is_delivered(
    scripted_graph: Any, repo: Repo, settings: Settings, saver: Any, patch_of: Any
) -> None:
    script = Script(coder=[LONG, DONE], coders={SECOND: [SHORT, DONE]}, reviewer="REJECT: no guard")
    graph, control, events = scripted_graph(script), RunControl(), list[Any]()
    thread = config("several")

    def took(event: Any) -> None:
        assert parse_event(event).model_dump() == event
        events.append(event)
        if event["event"] == "call":
            control.request_drain()
        if event["event"] == "review":
            script.reviewer = "ACCEPT"

    given = {"source": str(repo()), "candidates": 2}
    with pytest.raises(GraphDrained):
        await follow(graph, given, thread, took, control=control)
    stopped = await graph.aget_state(thread)
    assert stopped.next == ("candidate", "candidate")
    assert "verdict" not in {event["event"] for event in events}
    await follow(graph, None, thread, took)
    state = (await graph.aget_state(thread)).values
    report = state["report"]
    assert report["status"] == "verified"
    shown = [(r["candidate"], r["passed"], r["lines"], r["fixed"]) for r in report["candidates"]]
    assert shown == [(2, True, 2, 2), (1, True, 3, 2)]
    assert "+    return sum(values) / len(values)\n" in patch_of(state)
    assert [d async for d in list_desktops(Connection(settings), {OWNER: "several"})] == []
    assert report["usage"]["calls"] == 1 + 2 * 2 + 1 + 2 + 1
    told = [message.text for message in state["messages"] if message.type == "human"]
    assert told[1] == (
        "Your desktop holds a patch already. Your work was not accepted.\nmodel: blocker - no guard"
    )
    who = {(e["candidate"], e["node"]) for e in events if e["event"] == "finished"}
    assert who == {
        *((0, name) for name in ("prepare", "planner", "approval", "spread", "choose")),
        *((n, name) for n in (0, 1, 2) for name in ("coder", "act", "tester")),
        *((0, name) for name in ("reviewer", "deliver")),
    }
    second = await read_timeline(saver, "several", 2)
    kinds = [event.kind for event in tell(second)]
    assert kinds[-5:] == ["call", "answer", "call", "answer", "verdict"]
    [ranking] = [event for event in events if event["event"] == "ranking"]
    assert [result["candidate"] for result in ranking["results"]] == [2, 1]
    assert not [event for event in events if event["event"] in ("restored", "failed")]
    ledger = Ledger(settings.home / "ledger.db")
    rows = {(row["kind"], row["candidate"]) for row in ledger.test_history("several")}
    ledger.close()
    assert {("baseline", None), ("verdict", 1), ("verdict", 2)} <= rows


@pytest.mark.long
async def test_candidate_failed_after_another_ended_goes_on_alone_within_its_share(
    scripted_graph: Any, repo: Repo, settings: Settings, saver: Any
) -> None:
    script = Script(
        coder=[READ, SHORT, DONE], coders={SECOND: [READ, LONG, DONE]}, tokens=(1000, 500)
    )
    graph, thread = scripted_graph(script, candidates_at_once=1), config("several-failed")

    def refuse(event: Any) -> None:
        if (event["event"], event["candidate"]) == ("answer", 2):
            script.status = 401

    given = {"source": str(repo()), "candidates": 2, "max_tokens": 9000}
    with pytest.raises(ModelError, match="says 401"):
        await follow(graph, given, thread, refuse)
    await check_needed_snapshots_are_named(settings, saver, "several-failed")
    script.status, before, events = 200, len(script.requests), list[Any]()
    await follow(graph, None, thread, events.append)
    begun = [(e["node"], e["candidate"]) for e in events if e["event"] == "started"]
    assert begun == [
        *(("coder", 2), ("act", 2), ("coder", 2), ("tester", 2)),
        *(("choose", 0), ("reviewer", 0), ("deliver", 0)),
    ]
    assert len(script.requests) == before + 2, "one of the second candidate, and the review"
    report = (await graph.aget_state(thread)).values["report"]
    used = [(r["candidate"], r["passed"], r["usage"]["calls"]) for r in report["candidates"]]
    assert used == [(1, True, 2), (2, True, 2)], "a third call does not fit in half of the tokens"
    assert (report["status"], report["usage"]["calls"]) == ("verified", 1 + 2 * 2 + 1)


async def check_needed_snapshots_are_named(settings: Settings, saver: Any, thread: str) -> None:
    """The newest snapshot of each candidate is one that no prune deletes."""
    ledger, server = Ledger(settings.home / "ledger.db"), Connection(settings).server_name
    roles = {row["id"]: row["role"] for row in ledger.inventory.desktops(server)}
    rows = [row for row in ledger.inventory.snapshots(server) if row["thread"] == thread]
    ledger.close()
    rows.sort(key=lambda row: str(row["at"]))
    newest = {roles[row["desktop"]]: row["id"] for row in rows}
    needed = {newest["work-1"], newest["work-2"]}
    assert await named_in(saver, needed) == needed


@pytest.mark.long
async def test_thread_with_candidates_travels_in_time(
    settings: Settings, repo: Repo, tmp_path: Path
) -> None:
    script = Script(coder=[LONG, DONE], coders={SECOND: [SHORT, DONE]})
    with scripted_model(script) as url:
        changes = {"model": "scripted", "openai_base_url": url}
        kept = SecretStr(f"sqlite:///{tmp_path}/travel.db")
        runs = Runs(settings.model_copy(update={**changes, "checkpoints": kept}))
        async with open_graph(runs.settings) as graph:
            await graph.ainvoke({"source": str(repo()), "candidates": 2}, config("several-past"))
            runs.ledger.save_thread("several-past", status="verified")
            past = await read_timeline(saver_of(graph), "several-past")
            made = [(moment.node, moment.next) for moment in past.moments]
            assert made[2:5] == [
                ("choose", ("reviewer",)),
                ("candidate", ("choose",)),
                ("spread", ("candidate",)),
            ]
            chosen, ended, begun = past.moments[2:5]
            assert (await compare(runs.settings, past, begun.id, chosen.id)).files[0].added == 1
            before = len(script.requests)

            async def resumed(thread: str, paid: int, **more: Any) -> int:
                """Requests of a run that goes on from where the thread is; `paid` in all."""
                asked = len(script.requests)
                state = await graph.ainvoke(None, config(thread, **more))
                ranking = [r["candidate"] for r in state["report"]["candidates"]]
                assert (state["report"]["status"], ranking) == ("verified", [2, 1])
                assert state["report"]["usage"]["calls"] == paid
                return len(script.requests) - asked

            await fork(runs, "several-past", begun.id, "several-forked", "")
            again = await resumed("several-forked", before)
            assert again == 5, "both candidates anew, and the review"
            await rewind(runs, "several-past", begun.id)
            assert await resumed("several-past", before + 5) == 5
            await rewind(runs, "several-past", ended.id)
            known = await resumed("several-past", before + 6)
            assert known == 1, "what the candidates came to is known"
            assert await resumed("several-past", before + 11, checkpoint_id=begun.id) == 5
            with pytest.raises(UsageError, match="candidate comes next") as refused:
                await fork(runs, "several-past", begun.id, "several-other", "another task")
            assert "the last one before it that does" in (refused.value.hint or "")
    runs.ledger.close()
