"""Every branch of the wiring, from states alone."""

from langchain_core.messages import AIMessage, ToolCall

from graphs import routing
from nodes.state import Finding, State, Verdict

CALLS = AIMessage("", tool_calls=[ToolCall(name="shell", args={}, id="1")])


def state(**values: object) -> State:
    defaults = {"gave_up": "", "attempt": 1, "max_attempts": 3, "handed_in": False}
    return {**defaults, **values}  # type: ignore[typeddict-item,return-value]


def verdict(passed: bool) -> Verdict:
    return Verdict(
        passed=passed, reasons=[], fixed=[], still_failing=[], regressions=[], patch="", run=""
    )


def test_after_approval_rejected_plan_is_delivered() -> None:
    assert routing.after_approval(state()) == "coder"
    assert routing.after_approval(state(gave_up="rejected")) == "deliver"


def test_after_coder_calls_are_carried_out() -> None:
    assert routing.after_coder(state(messages=[CALLS])) == "act"
    assert routing.after_coder(state(messages=[AIMessage("done")])) == "tester"
    assert routing.after_coder(state(messages=[AIMessage("no")], gave_up="no")) == "deliver"


def test_after_act_coder_goes_on_until_handed_in() -> None:
    assert routing.after_act(state()) == "coder"
    assert routing.after_act(state(handed_in=True)) == "tester"
    assert routing.after_act(state(handed_in=True, gave_up="impossible")) == "deliver"


def test_after_tester_failed_verdict_goes_back_while_attempts_are_left() -> None:
    assert routing.after_tester(state(verdict=verdict(True))) == "reviewer"
    assert routing.after_tester(state(verdict=verdict(False))) == "coder"
    assert routing.after_tester(state(verdict=verdict(False), attempt=3)) == "deliver"


def test_after_reviewer_only_blocking_findings_send_back() -> None:
    remark = Finding(gate="model", message="x", blocking=False)
    assert routing.after_reviewer(state(findings=[remark])) == "deliver"
    blocking = Finding(gate="model", message="x", blocking=True)
    assert routing.after_reviewer(state(findings=[blocking])) == "coder"
    assert routing.after_reviewer(state(findings=[blocking], attempt=3)) == "deliver"
