"""Runs a repository's tests in a desktop and returns per-test results, never scraped text."""

import json
import secrets
import shlex
from collections.abc import Callable, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from tools.desktop import Desktop, Execution
from tools.errors import EnvironmentFaultError, NoResultError, UsageError
from tools.layout import CONTROL, PROGRAMS, REPO, install_programs

FAILED = frozenset({"failed", "error", "timeout", "crashed"})
"""Outcomes that mean: this test does not hold."""

RESULT_LIMIT = 64 << 20
"""Characters of a result that are taken; a desktop is hostile, its output may be any size."""


class Outcome(BaseModel):
    """One test: `outcome` is passed, skipped, xfailed, xpassed or one of `FAILED`."""

    id: str
    outcome: str
    seconds: float = 0
    message: str = ""


class CollectionError(BaseModel):
    """A file or folder that pytest could not collect."""

    id: str
    message: str


class TestRun(BaseModel):
    """The result of one run of the suite."""

    __test__ = False

    exit_status: int | None = None
    collected: list[str] = []
    tests: list[Outcome] = []
    errors: list[CollectionError] = []
    finished: bool = False
    timed_out: bool = False
    seconds: float = 0
    log: str = ""
    canaries: int = 0
    """Planted tests, which must fail, that were run."""
    believable: bool = True
    """Whether every planted test failed."""

    def ids(self, *outcomes: str) -> list[str]:
        """Ids of the tests that ended with one of `outcomes`, in the order they ran."""
        return [test.id for test in self.tests if test.outcome in outcomes]

    @property
    def failing(self) -> list[str]:
        """Ids of the tests that do not hold."""
        return self.ids(*FAILED)

    def message(self, test_id: str) -> str:
        """The failure text of one test, empty when it has none."""
        return next((test.message for test in self.tests if test.id == test_id), "")


def pytest_arguments(command: str) -> list[str]:
    """The arguments in a test command of the user's: `pytest …` or `python -m pytest …`.

    Raises:
        UsageError: the command is not pytest, the only runner that is supported yet.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"cannot read --tests {command!r}: {error}") from error
    if words[:1] == ["pytest"] or not words:
        return words[1:]
    if words[0].startswith("python") and words[1:3] == ["-m", "pytest"]:
        return words[3:]
    raise UsageError(
        f"--tests {command!r} is not a pytest command", hint="write: --tests 'pytest ARGUMENTS'"
    )


async def run_tests(
    desktop: Desktop,
    args: Sequence[str],
    *,
    suite_timeout_s: float,
    test_timeout_s: float,
    masked: bool = False,
    alone: bool = False,
    on_progress: Callable[[dict[str, int]], None] | None = None,
) -> TestRun:
    """Run pytest with `args` in `REPO`, inside the desktop.

    `masked` runs the tests under meaningless names; `alone` kills every other process of the
    desktop before the result is read. `on_progress` gets total, done and failed.

    Raises:
        NoResultError: the tests brought down everything that could report on them.
    """
    await install_programs(desktop)
    out, canary = f"{CONTROL}/tests", secrets.token_hex(8)
    options = {
        "repo": REPO,
        "out": out,
        "args": list(args),
        "suite_timeout_s": suite_timeout_s,
        "test_timeout_s": test_timeout_s,
        "masked": masked,
        "canary": canary,
        "alone": alone,
    }
    reader = _Reader(on_progress)
    await desktop.exec("rm", ["-rf", out])
    execution = await desktop.exec(
        "python",
        [f"{PROGRAMS}/run_tests.py", json.dumps(options)],
        timeout_s=suite_timeout_s + 60,
        on_stdout=reader,
    )
    run = _validated(reader.result, execution)
    log = await desktop.exec(
        f"head -c 20000 {out}/pytest.log; echo; tail -c 20000 {out}/pytest.log"
    )
    return _without_canaries(run.model_copy(update={"log": log.stdout}), canary)


def _validated(result: Any, execution: Execution) -> TestRun:
    if result is None:
        why = "no end in time" if execution.timed_out else f"exit code {execution.exit_code}"
        raise NoResultError(
            f"the test run left no result ({why}): {execution.stderr.strip()[-300:]}",
            hint="does a test kill every process, or fill the disk?",
        )
    try:
        return TestRun.model_validate(result)
    except ValidationError as error:
        raise EnvironmentFaultError(f"the test result is malformed: {error}") from error


def _without_canaries(run: TestRun, token: str) -> TestRun:
    """Take the planted tests out of a run and note what became of them."""
    planted = [test for test in run.tests if token in test.id]
    return run.model_copy(
        update={
            "collected": [test for test in run.collected if token not in test],
            "tests": [test for test in run.tests if token not in test.id],
            "canaries": len(planted),
            "believable": all(test.outcome == "failed" for test in planted),
        }
    )


class _Reader:
    """Joins a runner's output to lines: progress is handed on, the result is kept."""

    def __init__(self, on_progress: Callable[[dict[str, int]], None] | None) -> None:
        self._on_progress, self._rest = on_progress, ""
        self.result: Any = None

    def __call__(self, piece: str) -> None:
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
