"""What candidates are given, how they are ranked, and what their time counts as: pure functions."""

import asyncio
import io
from itertools import permutations
from typing import Any, cast

import pytest
from langgraph.types import Send
from rich.console import Console

from checkpoints.retention import strings_in
from checkpoints.sweep import FoundDesktop
from graphs.candidates import unwound
from nodes.candidates import APPROACHES, MOST, begun, elapsed, ranked, result_of, share
from nodes.state import NO_USAGE, Result, State
from sentient.reports import print_candidates


def result(number: int, **values: Any) -> Result:
    counts = {"passed": True, "regressions": 0, "fixed": 2, "lines": 5, "covered": 1.0}
    return cast("Result", {"candidate": number, **counts, **values})


@pytest.mark.parametrize(
    "best_first",
    [
        [result(2, lines=90, covered=0.1), result(1, passed=False)],
        [result(3, passed=False, fixed=1), result(2, passed=False, regressions=1)],
        [result(2, lines=9), result(1, lines=10, covered=1.0)],
        [result(2, covered=0.9), result(1, covered=0.5), result(3, covered=None)],
        [result(1), result(2), result(3)],
        [result(2, passed=False, fixed=1, lines=50), result(1, passed=False, fixed=0)],
        [result(2, passed=False, lines=9), result(1, passed=False, lines=0)],
    ],
    ids=["verified", "regressions", "smallest", "covered", "number", "fixed", "any patch"],
)
def test_ranked_is_the_same_whatever_the_order_they_ended_in(best_first: list[Result]) -> None:
    for order in permutations(best_first):
        assert ranked(order) == best_first


def state(**values: Any) -> State:
    return cast("State", {"candidates": 4, "attempt": 0, "max_attempts": 3, **values})


def test_share_of_what_is_left_adds_up_to_it() -> None:
    used = {**NO_USAGE, "calls": 1, "input_tokens": 150, "output_tokens": 50, "usd": 0.5}
    given = state(
        max_tokens=1000, max_usd=1.5, max_seconds=100.0, worked=20.0, usage=used,
        roles={"coder": used}, role_bounds={"coder": {"tokens": 600}, "reviewer": {"usd": 1.0}},
    )  # fmt: skip
    part = share(begun(given, 1), at_once=2)
    assert (part["max_tokens"], part["max_usd"]) == (200, 0.25)
    assert part["role_bounds"] == {"coder": {"tokens": 100}, "reviewer": {"usd": 1.0}}
    assert part["max_seconds"] == 40.0, "two turns of two"
    assert part["candidates"] == 1
    assert not {"usage", "roles", "worked"} & {*part}, "what it consumes is its own"
    assert "max_tokens" not in share(state(), at_once=2)
    assert share(state(max_tokens=3), at_once=4)["max_tokens"] == 1, "0 would mean any"


def test_begun_candidate_has_no_history_of_its_own() -> None:
    sent = begun(state(messages=["old"], plan="p"), 3)
    assert sent == {**state(plan="p"), "candidate": 3}


@pytest.mark.parametrize(
    ("seconds", "at_once", "took"),
    [([3, 4, 5], 3, 5), ([3, 4, 5], 1, 12), ([3, 4, 5], 2, 8), ([7], 4, 7)],
)
def test_elapsed_counts_what_went_on_side_by_side_once(
    seconds: list[float], at_once: int, took: float
) -> None:
    results = [result(number, seconds=each) for number, each in enumerate(seconds)]
    assert elapsed(results, at_once) == took


def test_result_of_a_candidate_that_a_gate_blocks_is_not_passed() -> None:
    verdict = {
        "passed": True, "reasons": [], "fixed": ["t"], "regressions": [], "patch": "p",
        "files": [{"path": "a", "added": 3, "removed": 1}, {"path": "b", "added": 0, "removed": 2}],
    }  # fmt: skip
    finding = {"gate": "g", "message": "a hook", "blocking": True}
    ended = state(
        candidate=1, verdict=verdict, findings=[finding], gave_up="", desktop={}, messages=["long"]
    )
    made = result_of(ended)
    assert (made["passed"], made["why"], made["lines"], made["covered"]) == (
        False, "a hook", 6, None,
    )  # fmt: skip
    assert made["work"] == {
        "attempt": 0, "findings": [finding], "gave_up": "", "verdict": verdict,
    }  # fmt: skip
    idle = result_of(state(candidate=2, gave_up="", desktop={}))
    assert (idle["passed"], idle["why"], idle["patch"]) == (False, "ended before a verdict", "")


def test_snapshots_named_by_what_a_candidate_is_sent_are_needed() -> None:
    sent = [Send("candidate", begun(state(desktop={"snapshot": "s1"}), 1))]
    assert "s1" in strings_in({"__pregel_tasks": sent})


def test_working_desktop_of_a_candidate_outlives_its_step() -> None:
    roles = ["work", "work-2", "verdict", "verdict-2", "workshop"]
    assert [FoundDesktop("d", "t", role).is_working for role in roles] == [True, True, *[False] * 3]


def test_report_has_a_row_for_each_candidate_the_chosen_one_first() -> None:
    facts = {"usage": {**NO_USAGE, "input_tokens": 30, "output_tokens": 12}, "attempts": 1}
    best = result(2, **facts, why="verified")
    worse = result(1, **facts, why="1 test\x1b[2J broken [red]", covered=None, regressions=1)
    console = Console(file=io.StringIO(), width=120)
    print_candidates([best, worse], console)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert [line.split() for line in lines[1:]] == [
        ["chosen", "2", "2", "0", "5", "100%", "1", "42", "verified"],
        ["1", "2", "1", "5", "?", "1", "42", "1", "test", "broken", "[red]"],
    ]


async def test_unwound_work_that_is_cancelled_twice_has_ended_when_the_wait_for_it_has() -> None:
    ended = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.01)
            ended.append("its own way")

    waiting = asyncio.ensure_future(unwound(work()))
    await asyncio.sleep(0)
    for _ in range(2):
        waiting.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ended == ["its own way"]


def test_approaches_tell_every_candidate_from_the_others() -> None:
    assert len({*APPROACHES}) == len(APPROACHES) == MOST
