"""The slow search: candidates that only a fresh import can show, each tried by a clean run.

Defaults of dataclass fields, enum members and values computed from a constant at import time are
out of reach of changing running code. A clean run costs half a second, so few are tried.
"""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from .candidates import Candidate
from .items import Status
from .rerun import ScratchCopy

_MAX_RUNS = 48
_MAX_SCREENING_TESTS = 4


@dataclass
class ImportSearch:
    """Tries candidates on disk until one fixes tests of the group and breaks none."""

    scratch: ScratchCopy
    render: Callable[[Candidate], Mapping[str, str]]
    """Returns the texts of all edited files, by relative path, with a candidate in them."""
    passing: Collection[str]
    deadline: float
    tried: int = 0

    def run(self, candidates: Iterable[Candidate], group: Sequence[str]) -> Candidate | None:
        """Return the first candidate after which tests of the group pass, none other failing."""
        seen = set()
        for candidate in candidates:
            texts = self.render(candidate)
            key = tuple(sorted(texts.items()))
            if key in seen:
                continue
            seen.add(key)
            if self.tried >= _MAX_RUNS or time.monotonic() > self.deadline:
                return None
            self.tried += 1
            tests = group[:_MAX_SCREENING_TESTS]
            outcomes = self.scratch.run(texts, self.deadline, tests)
            if Status.PASSED in outcomes.values() and self._stands(texts):
                return candidate
        return None

    def _stands(self, texts: Mapping[str, str]) -> bool:
        outcomes = self.scratch.run(texts, self.deadline)
        return all(outcomes.get(name) is Status.PASSED for name in self.passing)
