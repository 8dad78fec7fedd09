"""The last word: which of the accepted fixes stand in a clean run of the whole suite."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from .items import Status

Outcomes = Mapping[str, Status]
CleanRun = Callable[[Sequence[int]], Outcomes]
"""Runs the whole suite with the fixes of these numbers applied."""


@dataclass(frozen=True)
class Verdict:
    """The fixes that stand, by number, and what the suite says with them."""

    kept: tuple[int, ...]
    fixed: tuple[str, ...]
    broken: tuple[str, ...]
    """Passing tests that a dropped fix made fail."""


def settle(
    count: int, failing: Sequence[str], passing: Sequence[str], clean_run: CleanRun
) -> Verdict:
    """Keep as many fixes as pass together; drop the latest of them while a passing test fails.

    Tests that fail in a clean run of the untouched code as well are nobody's fault.
    """
    kept, broken = tuple(range(count)), list[str]()
    expected: set[str] | None = None
    while kept:
        outcomes = clean_run(kept)
        regressed = [n for n in passing if outcomes.get(n) is not Status.PASSED]
        if regressed and expected is None:
            untouched = clean_run(())
            expected = {name for name in passing if untouched.get(name) is Status.PASSED}
        regressed = [name for name in regressed if expected is None or name in expected]
        if not regressed:
            fixed = tuple(name for name in failing if outcomes.get(name) is Status.PASSED)
            return Verdict(kept, fixed, tuple(broken))
        broken += [name for name in regressed if name not in broken]
        kept = kept[:-1]
    return Verdict((), (), tuple(broken))
