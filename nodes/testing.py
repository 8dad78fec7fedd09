"""What planner and tester share: a run of the suite, recorded in the ledger and summed up."""

import hashlib

from nodes.context import Step
from nodes.state import LISTED_TESTS, State, TestSummary
from tools.desktop import Desktop
from tools.layout import CONTROL
from tools.pytest_run import TestRun, pytest_arguments, run_tests

BASELINE = f"{CONTROL}/baseline.json"
"""The baseline run in the desktop; every verdict desktop is a fork that has it too."""


async def run_suite(
    state: State, step: Step, desktop: Desktop, kind: str, *, masked: bool = False
) -> TestRun:
    """Run the thread's tests in `desktop`, streaming progress as `tests` events."""
    settings = step.settings
    return await run_tests(
        desktop,
        pytest_arguments(state.get("tests", "")),
        suite_timeout_s=settings.suite_timeout_s,
        test_timeout_s=settings.test_timeout_s,
        masked=masked,
        on_progress=lambda progress: step.emit("tests", kind=kind, **progress),
    )


async def record_run(
    step: Step, run: TestRun, kind: str, attempt: int, patch: str = ""
) -> TestSummary:
    """Write every test of a run to the ledger and return the summary for the state."""
    key = await step.record(
        step.services.ledger.save_test_run,
        step.thread,
        kind,
        attempt,
        [test.model_dump() for test in run.tests],
        seconds=run.seconds,
        patch=patch,
    )
    return TestSummary(
        run=key,
        collected=len(run.collected),
        passed=len(run.ids("passed", "xfailed")),
        failing=run.failing[:LISTED_TESTS],
        digest=ids_digest(run.collected),
        seconds=run.seconds,
    )


def ids_digest(ids: list[str]) -> str:
    """A hash of a set of test ids; equal sets have equal digests."""
    return hashlib.sha256("\n".join(sorted(set(ids))).encode()).hexdigest()[:16]
