"""Judging: what three runs of a suite come to. Pure; the only source of a verdict's `passed`."""

from nodes.state import Verdict
from tools.results import FAILED, FLAKY, TestRun

LISTED = 200
"""Tests that a verdict names."""


def judge(baseline: TestRun, run: TestRun, masked: TestRun) -> Verdict:
    """Compare the two runs at base + patch with the baseline.

    A test that failed is fixed by passing, in both runs; skipping or an expected failure is no
    repair. A test that passes in the first run only was recognised by the code it tests, or was
    helped by the patch's own test files. One that is flaky, at the base or with the patch, is
    neither fixed nor broken.
    """
    unsteady = {*baseline.ids(FLAKY), *run.ids(FLAKY), *masked.ids(FLAKY)}
    failing = set(run.failing)
    passing = set(run.ids("passed"))
    fixed = [test for test in baseline.failing if test in passing]
    tolerant = baseline.ids("xfailed", "xpassed")
    kept = passing | (set(run.ids("xfailed", "xpassed")) & set(tolerant)) | unsteady
    regressions = [test for test in baseline.ids("passed") + tolerant if test not in kept]
    unsolved = [test for test in baseline.failing if test not in passing]
    flaky_targets = [test for test in unsolved if test in unsteady]
    missing = sorted(set(baseline.collected) - (set(run.collected) & set(masked.collected)))
    not_under_mask = {test.id for test in masked.tests if test.outcome in {*FAILED, "skipped"}}
    recognised = sorted((passing & not_under_mask & set(baseline.collected)) - unsteady)
    new = sorted(failing - set(baseline.failing) - set(regressions) - unsteady)
    reasons = [
        text
        for condition, text in (
            (not (run.finished and masked.finished), "a test run did not end by itself"),
            (not _believable(baseline, run, masked), "planted tests did not fail: forged results"),
            (missing, f"{len(missing)} tests are no longer collected, first {_first(missing)}"),
            (recognised, f"passes only under its own name: {_first(recognised)}"),
            (regressions, f"{len(regressions)} tests do not pass any more, {_first(regressions)}"),
            (unsolved, f"{len(unsolved)} of {len(baseline.failing)} tests still do not pass"),
            (flaky_targets, f"{len(flaky_targets)} of them now and then, {_first(flaky_targets)}"),
            (new, f"{len(new)} new failures, first {_first(new)}"),
        )
        if condition
    ]
    return Verdict(
        passed=not reasons,
        reasons=reasons,
        fixed=fixed,
        still_failing=unsolved[:LISTED],
        regressions=regressions[:LISTED],
        flaky=sorted(unsteady)[:LISTED],
        patch="",
        files=[],
        run="",
    )


def doubtful(baseline: TestRun, run: TestRun, masked: TestRun) -> list[str]:
    """Tests that may be flaky: they held at the base, or hold in one of the runs only."""
    held = baseline.ids("passed", "xfailed", "xpassed")
    failing, failing_masked = set(run.failing), set(masked.failing)
    either, one = failing | failing_masked, failing ^ failing_masked
    known = set(run.collected) & set(masked.collected)
    return [test for test in held if test in either and test in known] + [
        test for test in baseline.failing if test in one and test in known
    ]


def _believable(baseline: TestRun, *runs: TestRun) -> bool:
    """Where the baseline could hold planted tests, each run must have had them, and failing."""
    return all(run.believable and run.canaries >= baseline.canaries for run in runs)


def _first(tests: list[str]) -> str:
    return tests[0] if tests else ""
