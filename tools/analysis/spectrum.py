"""What failing tests executed and passing tests did not: files by their functions."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from tools.analysis.evidence import Touched
from tools.results import Outcome, TestRun

Place = tuple[str, int]
"""A function: its file, and a line of its body."""

FILES, LINES = 2000, 12
"""Files that are told of, and functions of each."""

NEAR, FAR, QUICK_S = 20, 20, 0.25
"""Passing tests to compare with: of the failing tests' files, of others; seconds of each."""


def contrast(run: TestRun) -> list[str]:
    """Passing tests that are worth to be traced beside the failing ones, spread over the suite."""
    files = {_file(test) for test in run.failing}
    quick = [test for test in run.tests if test.outcome == "passed" and test.seconds <= QUICK_S]
    near = [test for test in quick if _file(test.id) in files]
    far = [test for test in quick if _file(test.id) not in files]
    return [test.id for test in (*_spread(near, NEAR), *_spread(far, FAR))]


def _file(test: str) -> str:
    return test.partition("::")[0]


def _spread(tests: Sequence[Outcome], count: int) -> Sequence[Outcome]:
    return tests[:: max(1, math.ceil(len(tests) / count))]


def touched(
    calls: Mapping[str, Iterable[Place]], failing: Iterable[str], passing: Iterable[str]
) -> list[Touched]:
    """The files that failing tests executed, at most `FILES`, the most suspicious first.

    A function's score is Ochiai: failing tests that call it / sqrt(all failing tests * all tests
    that call it).
    """
    bad = [set(calls[test]) for test in failing if test in calls]
    failed = Counter(place for test in bad for place in test)
    passed = Counter(place for test in passing for place in set(calls.get(test, ())))
    functions: dict[str, list[tuple[float, int]]] = {}
    for place, count in failed.items():
        score = count / math.sqrt(len(bad) * (count + passed[place]))
        functions.setdefault(place[0], []).append((-score, place[1]))
    found = []
    for path, scored in functions.items():
        scored.sort()
        lines = [line for _, line in scored[:LINES]]
        found.append(Touched(path, round(-scored[0][0], 4), lines))
    return sorted(found, key=lambda file: (-file.score, file.path))[:FILES]
