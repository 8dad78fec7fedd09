"""Runs a repository's tests in a desktop and returns per-test results, never scraped text."""

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from pydantic import ValidationError

from tools.desktop import Desktop
from tools.errors import EnvironmentFaultError, NoResultError
from tools.layout import CONTROL, PROGRAMS, REPO, install_programs
from tools.results import FAILED, TestRun
from tools.runners import Runner

Traced = Mapping[str, Sequence[int]] | Literal["functions"] | None
"""What is traced in Python: lines, by path, which ran; or functions, which each test called."""

RESULT_LIMIT = 64 << 20
"""Characters of a result that are taken; a desktop is hostile, its output may be any size."""


async def run_tests(
    desktop: Desktop,
    runner: Runner,
    *,
    suite_timeout_s: float,
    test_timeout_s: float,
    masked: bool = False,
    alone: bool = False,
    only: Sequence[str] = (),
    traced: Traced = None,
    on_progress: Callable[[dict[str, Any]], None] | None = None,
) -> TestRun:
    """Run the tests in `REPO`, inside the desktop.

    `masked` runs them under meaningless names, which node cannot; `alone` kills every other
    process of the desktop before the result is read. With `only`, no others run.
    `on_progress` gets total, done, failed and which ended.

    Raises:
        NoResultError: the tests brought down everything that could report on them.
    """
    await install_programs(desktop)
    canary = secrets.token_hex(8)
    options = options_of(
        runner,
        suite_timeout_s=suite_timeout_s,
        test_timeout_s=test_timeout_s,
        masked=masked,
        alone=alone,
        only=only,
        traced=traced,
        canary=canary,
    )
    reader = Reader(on_progress)
    await desktop.fs.write_file(f"{CONTROL}/tests.json", json.dumps(options))
    execution = await desktop.exec(
        "python",
        [f"{PROGRAMS}/run_tests.py", f"{CONTROL}/tests.json"],
        env=runner.env,
        timeout_s=suite_timeout_s + 60,
        on_stdout=reader,
    )
    why = "no end in time" if execution.timed_out else f"exit code {execution.exit_code}"
    run = reader.run(why=f"{why}: {execution.stderr.strip()[-300:]}")
    return narrowed(_without_canaries(run, canary), only)


def options_of(
    runner: Runner,
    *,
    suite_timeout_s: float,
    test_timeout_s: float,
    masked: bool = False,
    alone: bool = False,
    only: Sequence[str] = (),
    traced: Traced = None,
    canary: str = "",
) -> dict[str, Any]:
    """What `run_tests.py` is told; see `run_tests`. Without a canary no tests are planted."""
    lines = traced if isinstance(traced, Mapping) else {}
    return {
        "repo": REPO,
        "out": f"{CONTROL}/tests",
        "runner": runner.name,
        "args": list(runner.args),
        "paths": list(runner.paths),
        "only": list(only),
        "functions": traced == "functions",
        "lines": {path: list(numbers) for path, numbers in lines.items()},
        "suite_timeout_s": suite_timeout_s,
        "test_timeout_s": test_timeout_s,
        "masked": masked,
        "canary": canary,
        "alone": alone,
    }


def _without_canaries(run: TestRun, token: str) -> TestRun:
    """Take the planted tests out of a run and note what became of them."""
    planted = [test for test in run.tests if token in test.id]
    return run.model_copy(
        update={
            "collected": [test for test in run.collected if token not in test],
            "tests": [test for test in run.tests if token not in test.id],
            "canaries": len(planted),
            "believable": all(test.outcome in FAILED for test in planted),
        }
    )


def narrowed(run: TestRun, only: Sequence[str]) -> TestRun:
    """What a run says of some tests, if any are named: node runs the whole files these are in."""
    if not only:
        return run
    tests = [test for test in run.tests if test.id in only]
    collected = [test for test in run.collected if test in only]
    return run.model_copy(update={"tests": tests, "collected": collected})


class Reader:
    """Joins a runner's output to lines: progress is handed on, the result is kept."""

    def __init__(self, on_progress: Callable[[dict[str, Any]], None] | None) -> None:
        self._on_progress, self._rest = on_progress, ""
        self.result: Any = None

    def run(self, why: str) -> TestRun:
        """The result; `why` is told where there is none.

        Raises:
            NoResultError: there is none.
        """
        if self.result is None:
            raise NoResultError(
                f"the test run left no result ({why})",
                hint="does a test kill every process, or fill the disk?",
            )
        try:
            return TestRun.model_validate(self.result)
        except ValidationError as error:
            raise EnvironmentFaultError(f"the test result is malformed: {error}") from error

    def __call__(self, piece: str) -> None:
        """Take a piece of output."""
        *lines, rest = (self._rest + piece).split("\n")
        self._rest = rest if len(rest) <= RESULT_LIMIT else ""
        for line in lines:
            try:
                value = json.loads(line)
            except ValueError:
                continue
            if not isinstance(value, dict):
                continue
            if "result" in value:
                self.result = value["result"]
            elif self._on_progress is not None:
                self._on_progress(value)
