"""What speaks for a file: the task's words, failing tests, their stack traces, and past commits."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

TEXT_LIMIT = 20_000
"""Characters of each text that are looked at."""

FRAME = re.compile(
    r"(?:^|[\s(\"'\[@])((?:[A-Za-z]:)?[\w@+./\\-]+\.(?:py|pyi|js|jsx|mjs|cjs|ts|tsx|mts|cts|go|rs|java"
    r"|c|h|cc|cpp|cxx|hpp|hh))(?:\"?, line |:|\()\d+"
)
"""A place in a stack trace of Python, pytest, Node, Go, Rust, Java, gcc or clang."""


@dataclass(frozen=True)
class FailingTest:
    """A failing test: its file, what its runner said, or what it consists of, and its name."""

    path: str
    message: str = ""
    name: str = ""


def failing_test(test_id: str, message: str = "") -> FailingTest:
    """A test by its id as pytest gives it, `path::Class::name[parameters]`."""
    path, _, name = test_id.partition("::")
    return FailingTest(path, message, name)


@dataclass(frozen=True)
class Touched:
    """A file that failing tests executed."""

    path: str
    score: float
    """Of its most suspicious function; 1 for one that all failing tests call and no passing one."""
    lines: Sequence[int] = ()
    """A line of each of its suspicious functions, the worst first."""


@dataclass(frozen=True)
class Commit:
    """A past commit: its title, and the files it changed."""

    title: str
    files: Sequence[str]


@dataclass(frozen=True)
class Evidence:
    """All that is known of a task; whatever is unknown is left empty."""

    task: str = ""
    tests: Sequence[FailingTest] = ()
    executed: Sequence[Touched] = ()

    @property
    def words(self) -> str:
        """What the task is about: its own words, or else what the failing tests are called."""
        return self.task[:TEXT_LIMIT] or " ".join(test.name for test in self.tests)[:TEXT_LIMIT]


def frames(text: str) -> Iterator[str]:
    """The files a stack trace goes through, in its order."""
    for match in FRAME.finditer(text[-TEXT_LIMIT:]):
        yield match[1].replace("\\", "/")
