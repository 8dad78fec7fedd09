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
    """A failing test: its file, and what its runner said or what it consists of."""

    path: str
    message: str = ""


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


def frames(text: str) -> Iterator[str]:
    """The files a stack trace goes through, in its order."""
    for match in FRAME.finditer(text[-TEXT_LIMIT:]):
        yield match[1].replace("\\", "/")
