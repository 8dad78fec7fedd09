"""Whether a coder goes round in circles."""

from collections.abc import Iterable
from itertools import chain

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolCall, ToolMessage

from nodes.stuck import REPEATS, RUNS, note, stuck


def step(name: str, argument: str, answer: str, run: str = "") -> list[AnyMessage]:
    step.count += 1  # type: ignore[attr-defined]
    call_id = f"call{step.count}"  # type: ignore[attr-defined]
    call = ToolCall(name=name, args={"a": argument}, id=call_id)
    answered = ToolMessage(answer, tool_call_id=call_id, artifact=run or None)
    return [AIMessage("", tool_calls=[call]), answered]


step.count = 0  # type: ignore[attr-defined]


def chained(steps: Iterable[list[AnyMessage]]) -> list[AnyMessage]:
    return list(chain.from_iterable(steps))


def is_stuck(messages: list[AnyMessage]) -> str:
    return stuck(messages, sum(isinstance(m, AIMessage) for m in messages))[0]


def test_stuck_same_call_with_the_same_answer_is_found_whatever_its_durations() -> None:
    runs = [step("shell", "pytest", f"2 failed in 0.{n}1s at 0x{n}f") for n in range(REPEATS)]
    assert is_stuck(chained(runs)) == "shell was called 3 times with the same answer"
    assert is_stuck(chained(runs[1:])) == ""


def test_stuck_turns_of_two_calls_are_found() -> None:
    both = step("read_file", "a", "text") + step("search", "b", "no match")
    assert is_stuck(both * REPEATS).startswith("search was called")


def test_stuck_other_answers_or_edits_in_between_are_progress() -> None:
    assert is_stuck([m for n in range(9) for m in step("shell", "pytest", f"{n} failed")]) == ""
    tries = [step("replace", f"{n}", "replaced") + step("shell", "t", "failed") for n in range(9)]
    assert is_stuck(chained(tries)) == ""
    failing = [step("replace", f"{n}", "error: no") + step("shell", "t", "failed") for n in (1, 2)]
    assert is_stuck([*step("shell", "t", "failed"), *chained(failing)]) != ""


def test_stuck_test_runs_with_the_same_changes_and_failures_are_found_over_edits() -> None:
    there_and_back = [
        step("replace", f"{n}", "replaced") + step("run_tests", f"{n}", f"{n}", run=f"{n % 2}")
        for n in range(2 * RUNS)
    ]
    assert is_stuck(chained(there_and_back)).startswith(f"{RUNS} runs of the tests")
    assert is_stuck(chained(there_and_back[:-2])) == ""


def test_stuck_is_told_once_and_counted_anew_in_each_attempt() -> None:
    again = chained(step("shell", "ls", "a") for _ in range(REPEATS))
    assert stuck(again, REPEATS)[1] is False
    told: list[AnyMessage] = [*again, note("shell was called")]
    assert stuck([*told, *step("shell", "ls", "a")], REPEATS + 1) == ("", True)
    reason, before = stuck([*told, *again], 2 * REPEATS)
    assert (bool(reason), before) == (True, True)
    later: list[AnyMessage] = [*told, HumanMessage("not accepted"), *again]
    assert stuck(later, REPEATS) == ("shell was called 3 times with the same answer", False)
