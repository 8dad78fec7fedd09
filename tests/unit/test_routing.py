"""Every branch of the wiring, from states alone."""

import pytest
from langchain_core.messages import AIMessage, ToolCall
from langgraph.graph import END

from graphs import routing
from nodes.budgets import reached
from nodes.reviews import overruled
from nodes.state import Finding, State, Usage, Verdict

CALLS = AIMessage("", tool_calls=[ToolCall(name="shell", args={}, id="1")])


def state(**values: object) -> State:
    defaults = {"gave_up": "", "spent": "", "attempt": 1, "max_attempts": 3, "handed_in": False}
    return {**defaults, **values}  # type: ignore[typeddict-item,return-value]


def used(tokens: int) -> Usage:
    return Usage(calls=1, input_tokens=tokens - 1, output_tokens=1)


def verdict(passed: bool) -> Verdict:
    return Verdict(
        passed=passed, reasons=[], fixed=[], still_failing=[], regressions=[], patch="", run=""
    )


def test_after_planner_impossible_task_is_no_plan_to_approve() -> None:
    assert routing.after_planner(state()) == "approval"
    assert routing.after_planner(state(gave_up="the tests contradict it")) == "impossible"


def test_after_approval_rejected_plan_is_delivered() -> None:
    assert routing.after_approval(state()) == "coder"
    assert routing.after_approval(state(gave_up="rejected")) == "deliver"


def test_after_coder_calls_are_carried_out() -> None:
    assert routing.after_coder(state(messages=[CALLS])) == "act"
    assert routing.after_coder(state(messages=[AIMessage("done")])) == "tester"
    assert routing.after_coder(state(messages=[AIMessage("no")], gave_up="no")) == "impossible"


def test_after_act_coder_goes_on_until_handed_in() -> None:
    assert routing.after_act(state()) == "coder"
    assert routing.after_act(state(attempt=3)) == "coder"
    assert routing.after_act(state(handed_in=True)) == "tester"
    assert routing.after_act(state(handed_in=True, gave_up="impossible")) == "impossible"


def test_after_tester_failed_verdict_goes_back_while_attempts_are_left() -> None:
    failed = {"verdict": verdict(False), "handed_in": True}
    assert routing.after_tester(state(verdict=verdict(True))) == "reviewer"
    assert routing.after_tester(state(**failed)) == "coder"
    assert routing.after_tester(state(**failed, attempt=3)) == "budget"
    assert routing.after_tester(state(**failed, gave_up="spent")) == "deliver"


def test_after_reviewer_only_blocking_findings_send_back() -> None:
    remark = Finding(gate="model", message="x", blocking=False)
    assert routing.after_reviewer(state(findings=[remark])) == "deliver"
    blocking = Finding(gate="size", message="x", blocking=True)
    assert routing.after_reviewer(state(findings=[blocking])) == "coder"
    third = state(findings=[blocking], attempt=3, handed_in=True)
    assert routing.after_reviewer(third) == "budget"


def test_after_reviewer_models_word_alone_sends_back_only_so_often() -> None:
    objected = [Finding(gate="model", message="x", blocking=True)]
    assert routing.after_reviewer(state(findings=objected, rejections=2)) == "coder"
    assert routing.after_reviewer(state(findings=objected, rejections=3)) == "disputed"
    last = state(findings=objected, rejections=1, attempt=3, handed_in=True)
    assert routing.after_reviewer(last) == "disputed"
    both = [*objected, Finding(gate="size", message="x", blocking=True)]
    assert routing.after_reviewer(state(findings=both, rejections=3)) == "coder"


def test_after_disputed_goes_on_only_where_a_person_wants_another_try() -> None:
    objected = [Finding(gate="model", message="x", blocking=True)]
    assert routing.after_disputed(state(findings=objected)) == "coder"
    assert routing.after_disputed(state(findings=overruled(objected))) == "deliver"
    assert routing.after_disputed(state(findings=objected, gave_up="rejected")) == "deliver"


def test_after_impossible_revived_task_goes_on() -> None:
    assert routing.after_impossible(state(gave_up="no")) == "deliver"
    assert routing.after_impossible(state(handed_in=True)) == "coder"
    assert routing.after_impossible(state(max_seconds=1, worked=2.0)) == "budget"


def test_after_budget_work_in_hand_gets_a_verdict_while_there_is_time() -> None:
    spent = {"gave_up": "used up", "steps": 2}
    assert routing.after_budget(state()) == "coder"
    assert routing.after_budget(state(**spent, spent="tokens")) == "tester"
    assert routing.after_budget(state(**spent, spent="tokens", handed_in=True)) == "deliver"
    assert routing.after_budget(state(**spent, spent="seconds")) == "deliver"
    assert routing.after_budget(state(max_seconds=1, worked=2.0)) == "budget"


@pytest.mark.parametrize(
    ("values", "budget"),
    [
        ({}, ""),
        ({"max_tokens": 100, "usage": used(99)}, ""),
        ({"max_tokens": 100, "usage": used(100)}, "tokens"),
        ({"max_seconds": 5, "worked": 5.0, "max_tokens": 1, "usage": used(9)}, "seconds"),
        ({"handed_in": True, "attempt": 3}, "attempts"),
        ({"handed_in": True, "attempt": 2}, ""),
    ],
)
def test_reached_budget_is_the_one_used_up(values: dict[str, object], budget: str) -> None:
    limit = reached(state(**values))
    assert (limit.kind if limit else "") == budget


def test_first_decision_is_several_candidates_where_wanted_and_once() -> None:
    several = state(candidates=2, attempt=0)
    assert routing.after_approval(several) == "spread"
    assert routing.after_approval({**several, "candidates": 1}) == "coder"
    assert routing.after_approval({**several, "results": [{}]}) == "coder"  # type: ignore[typeddict-item]
    sent = routing.to_candidates({**several, "messages": []})
    assert [(send.node, send.arg["candidate"]) for send in sent] == [
        ("candidate", 1),
        ("candidate", 2),
    ]


def test_after_choose_work_is_reviewed_or_gone_on_with() -> None:
    chosen = state(candidates=2, results=[{}], handed_in=True)
    assert routing.after_choose({**chosen, "verdict": verdict(True)}) == "reviewer"
    assert routing.after_choose({**chosen, "verdict": verdict(False)}) == "coder"
    assert routing.after_choose({**chosen, "verdict": verdict(False), "attempt": 3}) == "budget"
    assert routing.after_choose({**chosen, "gave_up": "no"}) == "impossible"
    assert routing.after_choose(chosen) == "coder"


def test_candidate_ends_where_anybody_else_comes_next() -> None:
    inner = routing.within(routing.after_coder)
    spent = {"max_tokens": 10, "usage": used(10)}
    assert inner(state(messages=[CALLS])) == "act"
    assert inner(state(messages=[AIMessage("no")], gave_up="no")) == END
    assert inner(state(messages=[], short={"kind": "seconds"})) == END
    acted = routing.within(routing.after_act)
    assert acted(state(**spent, steps=2)) == "tester", "work in hand gets its verdict"
    assert acted(state(**spent, steps=0)) == END


def test_after_trial_candidate_tries_again_while_anything_objects() -> None:
    blocked = [Finding(gate="g", message="a hook", blocking=True)]
    passed = state(verdict=verdict(True), findings=[], handed_in=True)
    assert routing.after_trial(passed) == END
    assert routing.after_trial({**passed, "findings": blocked}) == "coder"
    assert routing.after_trial({**passed, "findings": blocked, "attempt": 3}) == END
    assert routing.after_trial(state(verdict=verdict(False), handed_in=True)) == "coder"
