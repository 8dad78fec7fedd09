"""The whole graph with a model (scripted, over HTTP): its loop, its cheats, its failures."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langgraph.types import Command
from samples import CALCULATOR, Repo
from scripted_model import Script, call, say

from nodes.events import parse_event
from nodes.model.answers import CUT, EMPTY, IDLE
from nodes.state import NO_USAGE
from tools.errors import ModelError, ModelUnavailableError

GOOD = call(
    "replace",
    path="calc.py",
    old="sum(values) / (len(values) + 1)",
    new="sum(values) / len(values)",
)
DONE = call("hand_in", summary="divided by the number of values")


def config(thread: str) -> dict[str, Any]:
    return {"configurable": {"thread_id": thread}}


async def test_model_reading_editing_testing_gets_verified_patch(
    scripted_graph: Any, repo: Repo, patch_of: Callable[[Any], str]
) -> None:
    script = Script(
        coder=[
            call("read_file", path="calc.py"),
            call("shell", command="grep -n 'def mean' calc.py; sleep 1.5"),
            GOOD,
            call("run_tests"),
            DONE,
        ],
        storm=[{"status": 429, "headers": {"retry-after": "0.2"}}, {"status": 503}],
    )
    price = {"price_in": 1.0, "price_out": 2.0}
    events, state = await followed(scripted_graph(script), repo(), "model-good", **price)
    report = state["report"]
    waits = [event for event in events if event["event"] == "waiting"]
    assert [(event["node"], event["tries"]) for event in waits] == [("planner", 1), ("planner", 2)]
    assert waits[0]["seconds"] == 0.2
    assert "says 503: scripted failure" in waits[1]["reason"]
    assert report["status"] == "verified", report
    assert report["coder"] == "scripted"
    usage = {**report["usage"], "usd": round(report["usage"]["usd"], 9), "seconds": 0}
    counts = {"calls": 7, "input_tokens": 70, "output_tokens": 35, "retries": 2}
    assert usage == {**NO_USAGE, **counts, "usd": 0.00014}
    calls = {role: used["calls"] for role, used in report["roles"].items()}
    assert calls == {"planner": 1, "coder": 5, "reviewer": 1}
    assert "+    return sum(values) / len(values)\n" in patch_of(state)
    answers = [message.text for message in state["messages"] if message.type == "tool"]
    assert "3\t    return sum(values) / (len(values) + 1)" in answers[0]
    assert answers[3].startswith("4 passed, in ")
    told = {
        node: "".join(e["text"] for e in events if e["event"] == "tokens" and e["node"] == node)
        for node in ("planner", "coder", "reviewer")
    }
    assert told["planner"] == Script.planner
    assert told["reviewer"] == Script.reviewer
    assert told["coder"] == "".join(answer["calls"][0][1] for answer in script.coder)
    costs = [(e["input_tokens"], e["output_tokens"]) for e in events if e["event"] == "cost"]
    assert costs == [(10, 5)] * 7
    assert "def mean" in "".join(e["text"] for e in events if e["event"] == "output")
    ended = {(e["kind"], e["id"]): e["outcome"] for e in events if e["event"] == "test"}
    assert ended["baseline", "test_calc.py::test_mean_of_two"] == "failed"
    assert ended["verdict", "test_calc.py::test_mean_of_two"] == "passed"
    assert len(ended) >= 12
    began = [event["node"] for event in events if event["event"] == "started"]
    assert began == [event["node"] for event in events if event["event"] == "finished"]
    assert events[-2]["event"] == "report"


async def followed(
    graph: Any, source: Path, thread: str, **given: Any
) -> tuple[list[Any], dict[str, Any]]:
    """A run's events, each of which is of the vocabulary, and its final state."""
    events, state = [], {}
    async for mode, item in graph.astream(
        {"source": str(source), **given}, config(thread), stream_mode=["custom", "values"]
    ):
        if mode == "custom":
            assert parse_event(item).model_dump() == item
            events.append(item)
        else:
            state = item
    return events, state


async def test_model_bad_calls_are_answered_not_fatal(scripted_graph: Any, repo: Repo) -> None:
    script = Script(
        coder=[
            say("Let me see."),
            {"calls": [("replace", "{not json")]},
            call("no_such_tool", x=1),
            call("replace", path="calc.py"),
            call("replace", path="../../etc/passwd", old="a", new="b"),
            call("replace", path="calc.py", old="def meen(values):", new="x"),
            GOOD,
            say("done"),
        ]
    )
    state = await scripted_graph(script).ainvoke({"source": str(repo())}, config("model-bad"))
    assert state["report"]["status"] == "verified"
    answers = [message.text for message in state["messages"] if message.type == "tool"]
    assert [answer.startswith("error: ") for answer in answers] == [True] * 5 + [False]
    assert "nearest, from line 1" in answers[4]
    assert [message.text for message in state["messages"] if message.type == "human"][1:] == [IDLE]


async def test_model_going_round_in_circles_is_told_once_then_its_work_is_handed_in(
    scripted_graph: Any, repo: Repo
) -> None:
    script = Script(coder=[call("search", pattern="def mean")])
    given = {"source": str(repo()), "max_attempts": 1}
    state = await scripted_graph(script).ainvoke(given, config("model-circles"))
    [_, told] = [message.text for message in state["messages"] if message.type == "human"]
    assert told.startswith("You are not getting on: search was called 3 times")
    assert len(script.requests) == 1 + 2 * 3
    assert state["report"]["attempts"] == 1
    [doubt] = state["report"]["findings"]
    assert doubt["message"].startswith("attempt 1 was handed in, as the coder did not get on")


async def test_model_impossible_task_is_unsolved_and_says_so(
    scripted_graph: Any, repo: Repo
) -> None:
    script = Script(coder=[call("hand_in", summary="the tests contradict it", impossible=True)])
    state = await scripted_graph(script).ainvoke({"source": str(repo())}, config("model-no"))
    assert state["report"]["status"] == "unsolved"
    assert state["report"]["summary"] == "the coder says: the tests contradict it"


PLAN = {
    "diagnosis": "off by one",
    "steps": [{"what": "divide by the count", "files": ["calc.py", "gone.py"]}],
    "protected": ["notes.txt", "calc.py", "../x"],
}


async def test_model_plan_is_validated_told_to_the_coder_and_enforced(
    scripted_graph: Any, repo: Repo
) -> None:
    script = Script(
        planner=json.dumps(PLAN),
        coder=[
            call("create_file", path="notes.txt", content="changed"),
            GOOD,
            DONE,
            call("create_file", path="notes.txt", content="kept"),
            DONE,
        ],
    )
    source = repo({**CALCULATOR, "notes.txt": "kept"})
    state = await scripted_graph(script).ainvoke({"source": str(source)}, config("model-plan"))
    assert state["plan"]["steps"] == [{"what": "divide by the count", "files": ["calc.py"]}]
    assert state["plan"]["protected"] == ["notes.txt"]
    assert state["plan"]["notes"] == "off by one\nNot in the repository: ../x, gone.py"
    told = [message.text for message in state["messages"] if message.type == "human"]
    assert "1. divide by the count (calc.py)\nprotected: notes.txt\n" in told[0]
    assert "changes notes.txt, which the plan protects" in told[1]
    assert state["report"]["status"] == "verified"


@pytest.mark.long
async def test_model_plan_impossible_is_asked_and_a_person_may_insist(
    scripted_graph: Any, repo: Repo
) -> None:
    no = {"steps": [], "impossible": "the tests contradict each other"}
    graph = scripted_graph(Script(planner=json.dumps(no), coder=[GOOD, DONE]))
    await graph.ainvoke({"source": str(repo()), "ask": True, "approve": True}, config("plan-no"))
    [asked] = (await graph.aget_state(config("plan-no"))).interrupts
    reason = "the planner says: the tests contradict each other"
    assert (asked.value["kind"], asked.value["reason"]) == ("impossible", reason)
    answer = {"answer": "retry", "hint": "they do not"}
    state = await graph.ainvoke(Command(resume=answer), config("plan-no"))
    assert state["report"]["status"] == "verified"


REVIEW = {
    "findings": [
        {"file": "calc.py", "line": 3, "severity": "blocker", "reason": "no guard"},
        {"file": "calc.py", "line": 90, "severity": "blocker", "reason": "elsewhere"},
        {"file": "gone.py", "line": 1, "severity": "major", "reason": "what is it"},
    ]
}


@pytest.mark.long
async def test_model_review_sends_back_then_the_patch_is_delivered_with_its_objections(
    scripted_graph: Any, repo: Repo
) -> None:
    script = Script(coder=[GOOD, DONE], reviewer=json.dumps(REVIEW))
    given = {"source": str(repo()), "max_attempts": 2}
    state = await scripted_graph(script).ainvoke(given, config("model-reject"))
    sent_back = [message.text for message in state["messages"] if message.type == "human"]
    said = "model: calc.py:3 blocker - no guard"
    assert sent_back[-1] == f"Your work was not accepted.\n{said}"
    report = state["report"]
    assert (report["status"], report["attempts"], report["budget"]) == ("verified", 2, "")
    assert [finding["message"] for finding in report["findings"]] == [
        "delivered over the model's objections (1): the tests and the gates hold",
        "calc.py:3 blocker - no guard",
        "calc.py:90 note - elsewhere (no line of the patch)",
        "gone.py:1 note - what is it (no line of the patch)",
    ]


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ("reject", "unsolved"),
        pytest.param("deliver", "verified", marks=pytest.mark.long),
        pytest.param("look again please", "verified", marks=pytest.mark.long),
    ],
)
async def test_model_review_rejection_is_a_question_where_people_are_asked(
    scripted_graph: Any, repo: Repo, answer: str, status: str
) -> None:
    script, thread = Script(coder=[GOOD, DONE], reviewer="REJECT: a hack"), config(answer[:6])
    graph = scripted_graph(script)
    given = {"source": str(repo()), "max_attempts": 1, "ask": True}
    await graph.ainvoke(given, thread)
    [asked] = (await graph.aget_state(thread)).interrupts
    assert (asked.value["kind"], asked.value["objections"]) == ("review", ["blocker - a hack"])
    script.reviewer = "ACCEPT"
    state = await graph.ainvoke(Command(resume=answer), thread)
    assert (state["report"]["status"], state["attempt"]) == (status, 1 + (answer[0] == "l"))


async def test_model_refused_key_is_a_model_error_at_once(scripted_graph: Any, repo: Repo) -> None:
    script = Script(coder=[DONE], status=401)
    with pytest.raises(ModelError, match="says 401: scripted failure"):
        await scripted_graph(script).ainvoke({"source": str(repo())}, config("model-401"))
    assert len(script.requests) == 1


async def test_model_endpoint_down_stops_the_run_which_goes_on_when_it_is_back(
    scripted_graph: Any, repo: Repo
) -> None:
    script = Script(coder=[{"text": "I th", "ends": "length"}, GOOD, {"text": ""}, DONE])
    graph = scripted_graph(script, model_patience_s=0.5)
    source = {"source": str(repo())}
    await graph.ainvoke(source, config("model-down"), interrupt_before=["act"])
    script.status = 500
    with pytest.raises(ModelUnavailableError, match="says 500"):
        await graph.ainvoke(None, config("model-down"))
    before = len(script.requests)
    script.status = 200
    state = await graph.ainvoke(None, config("model-down"))
    assert state["report"]["status"] == "verified"
    assert len(script.requests) == before + 4  # three of the coder, one of them empty
    told = [message.text for message in state["messages"] if message.type == "human"]
    assert told[1:] == [CUT, EMPTY]


async def test_model_refusal_gives_the_task_up_in_its_words(
    scripted_graph: Any, repo: Repo
) -> None:
    script = Script(coder=[{"text": "", "refusal": "I will not"}])
    state = await scripted_graph(script).ainvoke({"source": str(repo())}, config("model-refuses"))
    assert state["report"]["summary"] == "the model refuses: I will not"
