"""What planner and tester share: a run of the suite, recorded in the ledger and summed up."""

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from nodes import events
from nodes.context import Step
from nodes.state import LISTED_TESTS, State, TestSummary
from tools.desktop import Desktop
from tools.layout import CONTROL
from tools.results import FLAKY, TestRun
from tools.runners import runner_of
from tools.suite import Traced, run_tests

ENDED = 50
"""Tests that end at once, as far as they are told."""

BASELINE = f"{CONTROL}/baseline.json"
"""The baseline run in the desktop; every verdict desktop is a fork that has it too."""


async def run_suite(
    state: State,
    step: Step,
    desktop: Desktop,
    kind: str,
    *,
    masked: bool = False,
    alone: bool = False,
    only: Sequence[str] = (),
    traced: Traced = None,
    limit_s: float | None = None,
) -> TestRun:
    """Run the thread's tests in `desktop`, streaming progress as `tests` events."""
    settings = step.settings
    return await run_tests(
        desktop,
        replace(runner_of(state.get("tests", "")), env=step.secrets()),
        suite_timeout_s=limit_s or settings.suite_timeout_s,
        test_timeout_s=settings.test_timeout_s,
        masked=masked,
        alone=alone,
        only=only,
        traced=traced,
        on_progress=lambda progress: _tell(step, kind, progress),
    )


def _tell(step: Step, kind: str, progress: dict[str, Any]) -> None:
    ended = progress.pop("ended", [])
    with suppress(ValidationError, ValueError, TypeError):  # it comes from a desktop
        for test, outcome, seconds in ended[:ENDED]:
            step.emit(events.Test(kind=kind, id=test, outcome=outcome, seconds=seconds))
        step.emit(events.Tests.model_validate({**progress, "kind": kind}))


async def known_baseline(state: State, desktop: Desktop) -> TestRun | None:
    """The baseline, unless a process that a test left behind has changed it since."""
    data = await desktop.fs.read_bytes(BASELINE)
    known = digest_of(data) == state["baseline"]["digest"]
    return TestRun.model_validate_json(data) if known else None


async def engine_arguments(state: State, desktop: Desktop) -> list[str]:
    """What the engine, which knows pytest alone, is to collect: of other suites, their files.

    It is not to repair what is flaky.
    """
    runner = runner_of(state.get("tests", ""))
    without = [f"--deselect={test}" for test in state["baseline"].get("flaky", [])]
    if runner.name == "pytest":
        return [*runner.args, *without]
    baseline = await known_baseline(state, desktop)
    tests = baseline.collected if baseline else state["plan"]["targets"]
    return [*sorted({test.split("::")[0] for test in tests if ".py::" in test}), *without]


async def record_run(
    step: Step, run: TestRun, kind: str, attempt: int, *, snapshot: str, patch: str = ""
) -> TestSummary:
    """Write every test of a run to the ledger and return the summary for the state.

    It ran on the files of `snapshot`, with `patch` (a saved one's hash) applied.
    """
    key = await step.record(
        step.services.ledger.save_test_run,
        step.thread,
        kind,
        attempt,
        [test.model_dump() for test in run.tests],
        seconds=run.seconds,
        patch=patch,
        snapshot=snapshot,
        candidate=step.candidate,
    )
    return TestSummary(
        run=key,
        collected=len(run.collected),
        passed=len(run.ids("passed", "xfailed")),
        failing=run.failing[:LISTED_TESTS],
        flaky=run.ids(FLAKY)[:LISTED_TESTS],
        digest=digest_of(baseline_bytes(run)),
        seconds=run.seconds,
    )


def baseline_bytes(run: TestRun) -> bytes:
    """A run as it is kept in the desktop."""
    return run.model_dump_json(exclude={"log", "reach", "executed"}).encode()


def digest_of(data: bytes) -> str:
    """The hash by which a checkpoint knows a file in the desktop again."""
    return hashlib.sha256(data).hexdigest()
