"""Flaky tests: those that fail and pass at the same files. They are named, and decide nothing.

A test is one when it gives both outcomes alone, or passes alone and, where it had failed, in the
suite as well when that runs again. A test that fails alone, or among the others each time, is
broken.
"""

from collections.abc import Sequence

from nodes.context import Step
from nodes.state import Finding, State
from nodes.testing import record_run, run_suite
from nodes.verdict.judging import doubtful
from nodes.verdict.pristine import Pristine
from tools.analysis import contrast
from tools.desktop import Desktop
from tools.errors import NoResultError
from tools.results import TestRun
from tools.suite import narrowed

ALONE = 3
"""Runs of a doubtful test without the others, as long as it passes."""

DOUBTFUL = 20
"""Tests that are run again for one verdict; where more fail, that is no accident."""

AGAIN_S = 60
"""Seconds that running the baseline's failing tests again may take beyond what all tests took."""

NAMED = 20
"""Flaky tests that are told of."""


async def without_flaky(
    state: State, step: Step, desktop: Desktop, run: TestRun, *, traced: bool = False
) -> TestRun:
    """The baseline with those of its failing tests marked that pass when they run again.

    With `traced` the first of these runs, of some passing tests too, says what they executed.
    """
    limit = min(step.settings.suite_timeout_s, run.seconds + AGAIN_S)
    for _ in range(step.settings.baseline_reruns if run.finished else 0):
        if not run.failing:
            break
        others = contrast(run) if traced else []
        only = [*run.failing, *others]
        try:
            again = await run_suite(
                state, step, desktop, "again",
                only=only, traced="functions" if traced else None, limit_s=limit,
            )  # fmt: skip
        except NoResultError:
            break
        if traced:
            run = run.model_copy(update={"executed": again.executed})
            again, traced = narrowed(again, run.failing), False
        await record_run(step, again, "again", 0, snapshot=state["desktop"]["snapshot"])
        run = run.with_flaky(again.ids("passed"))
    return run


async def flaky_tests(
    pristine: Pristine, baseline: TestRun, run: TestRun, masked: TestRun
) -> set[str]:
    """Those tests whose failures in the verdict's runs are not the patch's doing, nor its fixes."""
    suspects = doubtful(baseline, run, masked)
    if not (run.finished and masked.finished and 0 < len(suspects) <= DOUBTFUL):
        return set()
    flaky, steady = await _alone(pristine, suspects)
    for broken, is_masked in ((run, False), (masked, True)):
        accused = [test for test in steady if test in broken.failing]
        if accused:
            async with pristine.fork(masked=is_masked) as desktop:
                again = await pristine.run(desktop, "again", masked=is_masked)
            await pristine.record(again, "again")
            flaky |= set(accused) & set(again.ids("passed"))
            steady -= set(accused)
    return flaky


async def _alone(pristine: Pristine, suspects: Sequence[str]) -> tuple[set[str], set[str]]:
    """Run tests without the others: those that gave both outcomes, and those that only passed."""
    flaky, steady = set[str](), set[str](suspects)
    async with pristine.fork(masked=True) as desktop:
        for number in range(ALONE):
            if not steady:
                break
            run = await pristine.run(desktop, "alone", masked=True, only=sorted(steady))
            await pristine.record(run, "alone")
            passed = set(run.ids("passed"))
            if number:
                flaky |= steady - passed
            steady &= passed
    return flaky, steady


def findings(tests: Sequence[str]) -> list[Finding]:
    """What people are told of flaky tests."""
    told = "fails and passes at the same files: it counts neither as fixed nor as broken"
    return [
        Finding(gate="flaky", message=f"{test} {told}", blocking=False) for test in tests[:NAMED]
    ]
