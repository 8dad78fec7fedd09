"""Questions to people: what is asked, what answers change, and that a question survives."""

import json
from pathlib import Path
from typing import Any

import pytest
from langgraph.types import Command
from pydantic import ValidationError
from samples import Repo
from scripted_model import Script, call

from checkpoints.ledger_file import LedgerFile

APPEND = call("shell", command="echo '# once' >> calc.py")
GOOD = call("replace", path="calc.py", old="(len(values) + 1)", new="len(values)")
BAD = call("replace", path="calc.py", old="(len(values) + 1)", new="(len(values) + 2)")
REPAIR_BAD = call("replace", path="calc.py", old="(len(values) + 2)", new="len(values)")
DONE = call("hand_in", summary="done")
NO = call("hand_in", summary="the tests contradict it", impossible=True)


def config(thread: str) -> dict[str, Any]:
    return {"configurable": {"thread_id": thread}}


async def question(graph: Any, thread: str) -> dict[str, Any]:
    [asked] = (await graph.aget_state(config(thread))).interrupts
    assert asked.response_schema["type"] == "object"
    return dict(asked.value)


async def answer(graph: Any, thread: str, given: Any) -> dict[str, Any]:
    return dict(await graph.ainvoke(Command(resume=given), config(thread)))


@pytest.mark.parametrize(
    "given",
    [
        pytest.param("fix the mean", marks=pytest.mark.long),
        {"answer": "change", "goal": "fix the mean"},
    ],
)
async def test_plan_changed_goal_is_what_the_coder_works_on(
    scripted_graph: Any, repo: Repo, given: Any
) -> None:
    script, thread = Script(coder=[GOOD, DONE]), f"change-{type(given).__name__}"
    graph = scripted_graph(script)
    await graph.ainvoke({"source": str(repo()), "approve": True}, config(thread))
    state = await answer(graph, thread, given)
    assert state["report"]["status"] == "verified"
    assert state["messages"][0].text.startswith("Goal: fix the mean")


async def test_plan_bad_answers_leave_the_question_and_no_trace(
    engine_graph: Any, repo: Repo
) -> None:
    await engine_graph.ainvoke({"source": str(repo()), "approve": True}, config("bad"))
    before = [item.config async for item in engine_graph.aget_state_history(config("bad"))]
    change = {"answer": "change"}
    for wrong in ("  ", 7, {"answer": "perhaps"}, change, {**change, "goal": "\ud800"},
                  {**change, "goal": "x" * 20_001}, {"answer": "approve", "y": 1}):  # fmt: skip
        with pytest.raises(ValidationError):
            await answer(engine_graph, "bad", wrong)
        assert (await question(engine_graph, "bad"))["kind"] == "plan"
    after = [item.config async for item in engine_graph.aget_state_history(config("bad"))]
    assert after == before
    state = await answer(engine_graph, "bad", {"answer": "reject"})
    assert state["report"]["summary"] == "the plan was rejected"


@pytest.mark.long
async def test_impossible_hint_reaches_the_coder_and_files_are_as_they_were(
    scripted_graph: Any, repo: Repo
) -> None:
    script = Script(coder=[APPEND, NO, GOOD, DONE])
    graph = scripted_graph(script)
    given = {"source": str(repo()), "ask": True, "max_attempts": 1}
    await graph.ainvoke(given, config("hint"))
    asked = await question(graph, "hint")
    assert (asked["kind"], asked["reason"]) == (
        "impossible",
        "the coder says: the tests contradict it",
    )
    with pytest.raises(ValidationError):
        await answer(graph, "hint", {"answer": "retry", "attempts": 0})
    state = await answer(graph, "hint", {"answer": "retry", "hint": "look at the divisor"})
    assert state["report"]["status"] == "verified"
    said = [message.text for message in state["messages"] if message.type == "human"]
    assert said[-1] == "A person says: look at the divisor"


async def test_impossible_stop_delivers_what_the_coder_said(
    scripted_graph: Any, repo: Repo
) -> None:
    graph = scripted_graph(Script(coder=[NO]))
    await graph.ainvoke({"source": str(repo()), "ask": True}, config("stop"))
    state = await answer(graph, "stop", "stop")
    assert state["report"]["summary"] == "the coder says: the tests contradict it"
    assert state["report"]["status"] == "unsolved"


@pytest.mark.long
async def test_budget_attempts_used_up_more_are_granted_and_each_is_in_the_views(
    scripted_graph: Any, repo: Repo, home: Path
) -> None:
    graph = scripted_graph(Script(coder=[BAD, DONE, REPAIR_BAD, DONE]))
    given = {"source": str(repo()), "ask": True, "max_attempts": 1}
    await graph.ainvoke(given, config("attempts"))
    asked = await question(graph, "attempts")
    assert (asked["kind"], asked["budget"]) == ("budget", "attempts")
    assert asked["verdict"]
    for wrong in ({"tokens": 10**30}, {"seconds": float("inf")}, {"attempts": 21}):
        with pytest.raises(ValidationError):
            await answer(graph, "attempts", {"answer": "extend", **wrong})
    state = await answer(graph, "attempts", "extend")
    assert state["report"]["status"] == "verified"
    assert (state["report"]["attempts"], state["max_attempts"]) == (2, 2)
    ledger = LedgerFile(home / "ledger.db")
    expect_two_attempts(ledger, "attempts", state)
    ledger.close()


def expect_two_attempts(ledger: LedgerFile, thread: str, state: dict[str, Any]) -> None:
    """The views of the ledger tell of an attempt that failed, one that passed, and their costs."""
    attempts = ledger.rows("select * from attempt_changes where thread = ?", [thread])
    found = [
        (row["attempt"], row["verdict"], row["failing_before"], row["failing_after"])
        for row in attempts
    ]
    assert found == [(1, "failed", 2, 2), (2, "passed", 2, 0)]
    assert [json.loads(row["files"]) for row in attempts] == [["calc.py"], ["calc.py"]]
    assert [(row["lines_added"], row["lines_removed"]) for row in attempts] == [(1, 1), (1, 1)]
    history = ledger.rows(
        "select kind, attempt, outcome, snapshot from test_history"
        " where thread = ? and test = ? and kind <> 'masked'",
        [thread, "test_calc.py::test_mean_of_two"],
    )
    assert [(row["kind"], row["attempt"], row["outcome"]) for row in history] == [
        ("baseline", 0, "failed"),
        ("verdict", 1, "failed"),
        ("verdict", 2, "passed"),
    ]
    assert history[1]["snapshot"] == state["base_snapshot"]
    [costs] = ledger.rows("select * from thread_costs where thread = ?", [thread])
    assert costs["calls"] == state["report"]["usage"]["calls"] == 6
    assert costs["input_tokens"] == state["report"]["usage"]["input_tokens"]
    assert costs["usd"] is None


@pytest.mark.long
async def test_budget_dollars_without_room_for_a_call_work_in_hand_gets_a_verdict(
    scripted_graph: Any, repo: Repo
) -> None:
    script = Script(coder=[APPEND, GOOD, APPEND, DONE], tokens=(4000, 500))
    # half a cent a call, one is the planner's; then there is no room for a request and an answer
    given = {"source": str(repo()), "max_usd": 0.0154, "price_in": 1.0, "price_out": 2.0}
    state = await scripted_graph(script).ainvoke(given, config("tokens"))
    report = state["report"]
    assert len(script.requests) == 3
    assert (report["status"], report["budget"]) == ("verified", "usd"), report
    not_reviewed = "not reviewed by the model: $0.0150 of $0.0154 are used up: too few are left"
    assert report["findings"][0]["message"].startswith(not_reviewed)


@pytest.mark.long
async def test_budget_tokens_used_up_without_a_repair_is_unsolved_and_says_so(
    scripted_graph: Any, repo: Repo
) -> None:
    script = Script(coder=[APPEND, GOOD, DONE], tokens=(4000, 500))
    given = {"source": str(repo()), "max_tokens": 9000}
    state = await scripted_graph(script).ainvoke(given, config("tokens-no"))
    report = state["report"]
    assert (report["status"], report["budget"]) == ("unsolved", "tokens")
    assert report["summary"].startswith("9000 of 9000 tokens are used up; ")


@pytest.mark.long
async def test_budget_tokens_extended_within_an_attempt_goes_on_with_the_hint(
    scripted_graph: Any, repo: Repo
) -> None:
    graph = scripted_graph(Script(coder=[APPEND, GOOD, DONE], tokens=(4000, 500)))
    bounds = {"max_tokens": 90_000, "role_bounds": {"coder": {"tokens": 4500}}}
    given = {"source": str(repo()), "ask": True, **bounds}
    await graph.ainvoke(given, config("midway"))
    assert (await question(graph, "midway"))["budget"] == "tokens"
    more = {"answer": "extend", "tokens": 50_000, "hint": "the divisor"}
    state = await answer(graph, "midway", more)
    assert (state["report"]["status"], state["report"]["attempts"]) == ("verified", 1)
    assert (state["max_tokens"], state["role_bounds"]) == (140_000, {"coder": {"tokens": 54_500}})
    said = [message.text for message in state["messages"] if message.type == "human"]
    assert said[1:] == ["A person says: the divisor"]


@pytest.mark.long
async def test_budget_seconds_used_up_is_asked_before_the_next_call(
    scripted_graph: Any, repo: Repo
) -> None:
    script = Script(coder=[GOOD, DONE])
    graph = scripted_graph(script)
    given = {"source": str(repo()), "ask": True, "max_seconds": 0.01}
    await graph.ainvoke(given, config("seconds"))
    asked = await question(graph, "seconds")
    assert (asked["kind"], asked["budget"]) == ("budget", "seconds")
    assert script.requests == []
    state = await answer(graph, "seconds", {"answer": "extend", "seconds": 600})
    assert state["report"]["status"] == "verified"
    assert 0 < state["report"]["seconds"] < 600


async def test_budget_tokens_with_an_uncounting_endpoint_are_refused(
    scripted_graph: Any, repo: Repo
) -> None:
    graph = scripted_graph(Script(coder=[DONE], tokens=None))
    with pytest.raises(Exception, match="counts no tokens"):
        await graph.ainvoke({"source": str(repo()), "max_tokens": 90_000}, config("uncounted"))


@pytest.mark.parametrize("bound", ["max_tokens", "max_seconds", "max_attempts", "max_usd"])
async def test_budget_negative_bound_is_refused(engine_graph: Any, repo: Repo, bound: str) -> None:
    with pytest.raises(Exception, match=f"{bound} is -1"):
        await engine_graph.ainvoke({"source": str(repo()), bound: -1}, config(f"neg-{bound}"))
