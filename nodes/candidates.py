"""Several candidates for one plan: what each is given, what it came to, which one is best. Pure."""

import heapq
import math
from collections.abc import Sequence
from typing import cast

from nodes.budgets import limits
from nodes.state import NO_USAGE, Bounds, Finding, Result, State, Verdict, Work

MOST = 8
"""Candidates of a run, at most."""

APPROACHES = (
    "",
    "look for the smallest change: the fewest lines that remove the cause",
    "follow the data: trace a failing test's values from input to result, and change the place "
    "where they first go wrong",
    "look at who calls the code, and at its siblings: follow how the same is done right elsewhere "
    "in the repository",
    "suspect the place last named in the plan first, and the error's own line last",
    "state the code's contract in words first, edge cases included, and change what breaks it",
    "reproduce the failure in a few lines of your own before you change anything",
    "look for one cause behind all failing tests, above the places where they fail",
)
"""By candidate, what it is told to prefer: the model is the same, so this is how they differ."""

CARRIED = frozenset(Work.__annotations__)

UNSENT = frozenset({"messages", "report", "results"})
"""What a candidate does not need: its conversation is its own."""

CONSUMED = frozenset({"usage", "roles", "inherited", "worked"})
"""What is counted anew: what a candidate consumes is its own."""


def begun(state: State, number: int) -> State:
    """What candidate `number` is sent."""
    return cast("State", {**_without(state, UNSENT), "candidate": number})


def _without(state: State, names: frozenset[str]) -> dict[str, object]:
    return {name: value for name, value in state.items() if name not in names}


def share(state: State, at_once: int) -> State:
    """A candidate's first state, with its part of what was left of the run's bounds by then.

    Each has an equal part, so that together they keep what one alone has to keep. `at_once` of
    them work side by side: only those who work after each other share the run's seconds.
    """
    count = state["candidates"]
    part, own = State(candidates=1), dict[str, Bounds](state.get("role_bounds", {}))
    for limit in limits(state):
        by_turns = limit.kind == "seconds" and not limit.role
        left = limit.left / (math.ceil(count / at_once) if by_turns else count)
        if limit.role:
            own[limit.role] = {**own[limit.role], limit.kind: left}  # type: ignore[misc]
        elif limit.kind == "tokens":
            part["max_tokens"] = max(1, int(left))  # 0 would mean: no bound
        else:
            part[f"max_{limit.kind}"] = left  # type: ignore[literal-required]
    return cast("State", {**_without(state, CONSUMED), **part, "role_bounds": own})


def elapsed(results: Sequence[Result], at_once: int) -> float:
    """Seconds that the candidates took, `at_once` side by side, each begun as one before ends."""
    places = [0.0] * at_once
    for result in results:
        heapq.heappush(places, heapq.heappop(places) + result["seconds"])
    return max(places)


def result_of(state: State) -> Result:
    """What a candidate's last state comes to."""
    verdict = state.get("verdict")
    blocking = [finding for finding in state.get("findings", []) if finding["blocking"]]
    return Result(
        candidate=state["candidate"],
        passed=bool(verdict and verdict["passed"] and not blocking),
        why=_why(state, verdict, blocking),
        fixed=len(verdict["fixed"]) if verdict else 0,
        regressions=len(verdict["regressions"]) if verdict else 0,
        lines=sum(_lines(verdict)),
        covered=verdict.get("covered") if verdict else None,
        attempts=state["attempt"],
        seconds=round(state.get("worked", 0.0), 1),
        usage=state.get("usage") or NO_USAGE,
        patch=verdict["patch"] if verdict else "",
        desktop=state["desktop"],
        work=cast("Work", {name: value for name, value in state.items() if name in CARRIED}),
    )


def _why(state: State, verdict: Verdict | None, blocking: list[Finding]) -> str:
    reasons = verdict["reasons"] if verdict else []
    said = [state["gave_up"], *reasons, *(finding["message"] for finding in blocking)]
    told = "; ".join(text for text in said if text)
    return (told or ("verified" if verdict else "ended before a verdict"))[:300]


def _lines(verdict: Verdict | None) -> list[int]:
    files = verdict["files"] if verdict else []
    return [int(file["added"]) + int(file["removed"]) for file in files]


def ranked(results: Sequence[Result]) -> list[Result]:
    """The best one first, by what can be counted; the same results always in the same order.

    Verified before not verified, then fewest regressions, most failing tests fixed, any patch
    before none, the smallest patch, the most of it covered by tests, the lowest number.
    """
    return sorted(results, key=_rank)


def _rank(result: Result) -> tuple[bool, int, int, bool, int, float, int]:
    covered = result["covered"]
    return (
        not result["passed"],
        result["regressions"],
        -result["fixed"],
        not result["lines"],
        result["lines"],
        1.0 if covered is None else -covered,
        result["candidate"],
    )


def without_work(result: Result) -> Result:
    """The result as it is kept and shown once one is chosen."""
    kept = {name: value for name, value in result.items() if name != "work"}
    return cast("Result", kept)
