"""What is said of a run's milestones, live and when it is told afterwards."""

from collections.abc import Mapping, Sequence
from typing import Any

from sentient.text import plural

ARGUMENT_SHOWN = 60
"""Characters of an argument that a call is told with."""


def included(uncommitted: int) -> str:
    """That the base holds changes that were not committed; empty when it holds none."""
    return f", {plural(uncommitted, 'uncommitted change')} included" if uncommitted else ""


def planned(goal: str, suspects: Sequence[str]) -> str:
    """A plan: its goal, and where it looks first."""
    return goal + (f"; first in {', '.join(suspects[:3])}" if suspects else "")


def called(name: str, arguments: Mapping[str, Any]) -> str:
    """A tool call."""
    told = (f"{key}={str(value)[:ARGUMENT_SHOWN]!r}" for key, value in arguments.items())
    return f"{name}({', '.join(told)})"


def judged(verdict: Mapping[str, Any]) -> str:
    """A verdict: how many tests it fixed, or why it is none."""
    if verdict["passed"]:
        return f"passed, {plural(len(verdict['fixed']), 'test')} fixed"
    return f"not passed: {'; '.join(verdict['reasons'])}"


def tried(result: Mapping[str, Any]) -> str:
    """A candidate: what its work came to, and what it is ranked by."""
    told = [result["why"], f"{result['fixed']} fixed", f"{result['regressions']} broken"]
    return ", ".join([*told, plural(result["lines"], "line")])


def installed(environment: Mapping[str, Any]) -> str:
    """What was installed for the tests, or why it was not."""
    known = "known" if environment["known"] else f"installed in {environment['seconds']:.1f} s"
    first = f"{environment['detail']}\n".splitlines()[0].strip()
    told = {
        "none": "nothing to install for the tests",
        "ready": f"what the tests need: {known}",
        "partial": f"only a part of what the tests need could be installed: {first}",
        "failed": f"what the tests need could not be installed: {first}",
    }
    return told.get(environment["status"], str(environment["status"]))
