"""Runs a repository's tests in a desktop and returns per-test results, never scraped text."""

import json
import shlex
from collections.abc import Callable, Sequence

from pydantic import BaseModel, ValidationError

from tools.desktop import Desktop
from tools.errors import EnvironmentFaultError, UsageError
from tools.layout import CONTROL, PROGRAMS, REPO, install_programs

FAILED = frozenset({"failed", "error", "timeout", "crashed"})
"""Outcomes that mean: this test does not hold."""

RESULT_LIMIT = 64 << 20
"""Bytes of a result file that are read; a desktop is hostile, its files may be any size."""


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
    repo: str = REPO,
    on_progress: Callable[[dict[str, int]], None] | None = None,
) -> TestRun:
    """Run pytest with `args` in `repo`, inside the desktop.

    `masked` runs the tests under meaningless names. `on_progress` gets total, done and failed.

    Raises:
        EnvironmentFaultError: the tests brought down everything that could report on them.
    """
    await install_programs(desktop)
    out = f"{CONTROL}/tests"
    options = {
        "repo": repo,
        "out": out,
        "args": list(args),
        "suite_timeout_s": suite_timeout_s,
        "test_timeout_s": test_timeout_s,
        "masked": masked,
    }
    await desktop.exec("rm", ["-rf", out])
    execution = await desktop.exec(
        "python",
        [f"{PROGRAMS}/run_tests.py", json.dumps(options)],
        timeout_s=suite_timeout_s + 60,
        on_stdout=_line_reader(on_progress),
    )
    if not await desktop.fs.exists(f"{out}/results.json"):
        why = "no end in time" if execution.timed_out else f"exit code {execution.exit_code}"
        raise EnvironmentFaultError(
            f"the test run left no result ({why}): {execution.stderr.strip()[-300:]}",
            hint="does a test kill every process, or fill the disk?",
        )
    return await _read_result(desktop, out)


async def _read_result(desktop: Desktop, out: str) -> TestRun:
    head = await desktop.exec(
        f"head -c 20000 {out}/pytest.log; echo; tail -c 20000 {out}/pytest.log"
    )
    size = await desktop.exec("stat", ["-c", "%s", f"{out}/results.json"])
    if not size.stdout.strip().isdigit() or int(size.stdout) > RESULT_LIMIT:
        raise EnvironmentFaultError(f"the test result is larger than {RESULT_LIMIT} bytes")
    try:
        run = TestRun.model_validate_json(await desktop.fs.read_bytes(f"{out}/results.json"))
    except ValidationError as error:
        raise EnvironmentFaultError(f"the test result is malformed: {error}") from error
    return run.model_copy(update={"log": head.stdout})


def _line_reader(
    on_progress: Callable[[dict[str, int]], None] | None,
) -> Callable[[str], None]:
    """Joins pieces of output to lines and hands each JSON line on; anything else is dropped."""
    rest = ""

    def take(piece: str) -> None:
        nonlocal rest
        *lines, rest = (rest + piece).split("\n")
        rest = rest[-4096:]
        for line in lines:
            try:
                value = json.loads(line)
            except ValueError:
                continue
            if on_progress is not None and isinstance(value, dict):
                on_progress(value)

    return take
