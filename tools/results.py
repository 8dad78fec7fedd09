"""What came of a run of a repository's tests: per test, never scraped text."""

from collections.abc import Collection
from typing import Annotated

from pydantic import BaseModel, Field

FAILED = frozenset({"failed", "error", "timeout", "crashed"})
"""Outcomes that mean: this test does not hold."""

FUNCTIONS = 20_000
"""Functions that a run tells apart."""

Line = Annotated[int, Field(ge=1, lt=1 << 31)]

FLAKY = "flaky"
"""Outcome of a test that failed, and passed at the same files."""


class Outcome(BaseModel):
    """One test: `outcome` is passed, skipped, xfailed, xpassed, `FLAKY` or one of `FAILED`."""

    id: str
    outcome: str
    seconds: float = 0
    message: str = ""


class CollectionError(BaseModel):
    """A file or folder whose tests could not be collected."""

    id: str
    message: str


class Reach(BaseModel):
    """Which of the lines that were asked about ran."""

    lines: dict[str, dict[int, list[str]]] | None = None
    """By path and line some of the tests; "" is the import. None: it could not be traced."""
    children: bool = False
    """Whether tests started processes, in which nothing was traced."""


class Executed(BaseModel):
    """Which functions of the repository each test called, as its own process says."""

    functions: list[tuple[str, Line]] = Field([], max_length=FUNCTIONS)
    """Path, and a line of the body."""
    tests: dict[str, list[int]] = {}
    """By test, places in `functions`."""

    def calls(self) -> dict[str, set[tuple[str, int]]]:
        """The functions by test; a place that is none is left out."""
        every = range(len(self.functions))
        return {
            test: {self.functions[number] for number in numbers if number in every}
            for test, numbers in self.tests.items()
        }


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
    reach: Reach | None = None
    """None where nothing was asked, or the runner cannot tell."""
    executed: Executed | None = None
    """None where nothing was asked, the runner cannot tell, or somebody else traced."""
    configuration: list[str] = []
    """Files of the repository that the runner's configuration names."""
    believable: bool = True
    """Whether every planted test failed."""

    def ids(self, *outcomes: str) -> list[str]:
        """Ids of the tests that ended with one of `outcomes`, in the order they ran."""
        return [test.id for test in self.tests if test.outcome in outcomes]

    @property
    def failing(self) -> list[str]:
        """Ids of the tests that do not hold."""
        return self.ids(*FAILED)

    def with_flaky(self, tests: Collection[str]) -> "TestRun":
        """The run in which some tests are neither failed nor passed, but flaky."""
        marked = [
            test.model_copy(update={"outcome": FLAKY}) if test.id in tests else test
            for test in self.tests
        ]
        return self.model_copy(update={"tests": marked})

    def message(self, test_id: str) -> str:
        """The failure text of one test, empty when it has none."""
        return next((test.message for test in self.tests if test.id == test_id), "")
