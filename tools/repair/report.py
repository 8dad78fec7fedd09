"""What the engine says: progress as JSON lines, and the final result."""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from .edits import Replacement

State = Literal["fixed", "partial", "none", "nothing-failing", "collection-error"]


@dataclass(frozen=True)
class Fix:
    """An accepted repair."""

    tests: tuple[str, ...]
    """Node ids of the failing tests it turns green."""
    operator: str
    path: str
    line: int
    edits: tuple[Replacement, ...]
    """To be applied in order, after those of earlier fixes."""
    alternatives: int
    """Other candidates that passed the same tests."""
    ambiguous: bool
    """Whether an alternative is nearly as likely as the one chosen."""


@dataclass(frozen=True)
class Suspect:
    """A suspicious line of the original code."""

    path: str
    line: int
    score: float


@dataclass
class Result:
    """The outcome of one run of the engine; written as RESULT.json."""

    status: State = "none"
    tests: int = 0
    failing: list[str] = field(default_factory=list)
    fixed: list[str] = field(default_factory=list)
    fixes: list[Fix] = field(default_factory=list)
    tried: int = 0
    candidates: int = 0
    seconds: float = 0.0
    suspicious: list[Suspect] = field(default_factory=list)
    message: str = ""

    def write(self, path: Path) -> None:
        """Write the result, whole or not at all."""
        partial = path.with_name(path.name + ".partial")
        partial.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")
        partial.replace(path)


class Progress:
    """Writes events to the stream that was standard output before tests got hold of it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def tell(self, event: str, **fields: Any) -> None:
        """Write one event as a line of JSON."""
        line = json.dumps({"event": event, **fields}) + "\n"
        os.write(self._descriptor, line.encode())
