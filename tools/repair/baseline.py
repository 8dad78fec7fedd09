"""How every test ends, and how long it takes, with the code as it is now."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from . import forks
from .items import ItemRunner, Outcome, Status

_SHORT_LIMIT_S = 0.5
_PATIENT_LIMIT_S = 2.0
_HASTY_LIMIT_S = 0.15
_HANGS_BEFORE_HASTE = 2
_WALL_MARGIN_S = 1.0


@dataclass
class Suite:
    """The collected tests and the plugin that runs them."""

    items: Sequence[pytest.Item]
    runner: ItemRunner
    cpu_limit_s: float

    def name(self, test: int) -> str:
        """Return a test's node id."""
        return self.items[test].nodeid

    @property
    def wall_limit_s(self) -> float:
        """Wall seconds a test may stay silent: CPU limits do not see one that sleeps."""
        return self.cpu_limit_s * 2 + _WALL_MARGIN_S


def measure(suite: Suite, tests: Sequence[int]) -> dict[int, Outcome]:
    """Run tests in order in as few children as possible; a hang or a crash costs one more.

    Tests get a short limit first. Only if one that exceeded it turns out to be merely slow do the
    others get all the time there is: suites in which everything hangs stay measurable.
    """
    limit = min(suite.cpu_limit_s, _SHORT_LIMIT_S)
    outcomes = _run_all(suite, tests, limit)
    late = [test for test in tests if outcomes[test].was_busy]
    if late and limit < suite.cpu_limit_s:
        some_end = any(not outcome.is_failure for outcome in outcomes.values())
        patience = suite.cpu_limit_s if some_end else min(suite.cpu_limit_s, _PATIENT_LIMIT_S)
        retried = _run_all(suite, late[:1], patience)
        if retried[late[0]].status is not Status.HUNG:
            retried |= _run_all(suite, late[1:], suite.cpu_limit_s)
        outcomes |= retried
    return outcomes


def _run_all(suite: Suite, tests: Sequence[int], limit_s: float) -> dict[int, Outcome]:
    outcomes: dict[int, Outcome] = {}
    remaining, hangs = list(tests), 0
    while remaining:
        limit = limit_s
        if hangs >= _HANGS_BEFORE_HASTE:
            slowest = max((o.cpu_s for o in outcomes.values() if not o.is_failure), default=0.0)
            limit = min(limit, max(_HASTY_LIMIT_S, 10 * slowest))
        ended = _run_until_death(suite, remaining, limit)
        outcomes |= ended
        remaining = remaining[len(ended) :]
        hangs += any(outcome.status is Status.HUNG for outcome in ended.values())
    return outcomes


def _run_until_death(suite: Suite, tests: Sequence[int], limit_s: float) -> dict[int, Outcome]:
    def body(report: forks.Report) -> None:
        for test in tests:
            report(test, None)
            report(test, suite.runner.run(suite.items[test], limit_s))

    quiet_s = min(suite.wall_limit_s, 3 * limit_s + _WALL_MARGIN_S)
    child = forks.fork(body, quiet_s)
    while not child.done:
        forks.wait_any([child])
    death = Outcome(Status.HUNG if child.timed_out else Status.DIED)
    if child.ran_out_of_cpu:
        death = Outcome(Status.HUNG, cpu_s=limit_s)
    outcomes: dict[int, Outcome] = {}
    for test, outcome in child.records:
        outcomes[test] = outcome or death
    if not outcomes:
        outcomes[tests[0]] = Outcome(Status.DIED)
    return outcomes
