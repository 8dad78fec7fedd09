"""Fault localisation: suspicious lines by Ochiai, and failing tests that likely share a fault."""

import ast
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from .source import SourceFile, UnitKey
from .tracing import Lines

_CLOSE = 0.8
"""Units this close to a test's most suspicious one count as suspects of that test."""
_MAX_SUSPECTS = 6


@dataclass(frozen=True)
class Spectrum:
    """The lines executed by failing and by passing tests, by test number."""

    failing: Mapping[int, Lines]
    passing: Mapping[int, Lines]

    def suspicion(self, tests: Sequence[int]) -> dict[UnitKey, dict[int, float]]:
        """Score every line that some of the failing tests executed, the most suspicious at 1.

        Ochiai: failing tests on the line / sqrt(all failing tests * all tests on the line).
        """
        failed = _counts(self.failing[test] for test in tests)
        passed = _counts(self.passing.values())
        scores: dict[UnitKey, dict[int, float]] = {}
        for (key, line), hits in failed.items():
            score = hits / math.sqrt(len(tests) * (hits + passed.get((key, line), 0)))
            scores.setdefault(key, {})[line] = score
        top = max((max(lines.values()) for lines in scores.values()), default=1.0)
        return {key: {n: s / top for n, s in lines.items()} for key, lines in scores.items()}

    def passing_through(self, key: UnitKey) -> list[int]:
        """Return the passing tests that execute a unit."""
        return [test for test, lines in self.passing.items() if key in lines]

    def groups(self) -> list[list[int]]:
        """Put failing tests together that share a suspect; the largest group first."""
        suspects = {test: self._suspects(test) for test in self.failing}
        groups: list[tuple[list[int], set[UnitKey]]] = []
        for test, keys in suspects.items():
            joined, shared = [test], set(keys)
            apart = []
            for tests, others in groups:
                if others & shared:
                    joined, shared = tests + joined, shared | others
                else:
                    apart.append((tests, others))
            groups = [*apart, (joined, shared)]
        return sorted((sorted(tests) for tests, _ in groups), key=lambda g: (-len(g), g))

    def _suspects(self, test: int) -> set[UnitKey]:
        scores = {key: max(lines.values()) for key, lines in self.suspicion([test]).items()}
        ranked = sorted(scores, key=lambda key: (-scores[key], key))[:_MAX_SUSPECTS]
        return {key for key in ranked if scores[key] >= _CLOSE}


def statement_suspicion(
    scores: Mapping[UnitKey, Mapping[int, float]], files: Mapping[str, SourceFile]
) -> dict[UnitKey, float]:
    """Score top-level statements by the suspicious lines that use the name they bind.

    Import-time lines are executed by no test in particular, so Ochiai cannot rank them.
    """
    used: dict[str, float] = {}
    for key, lines in scores.items():
        for node in ast.walk(files[key.path].units[key].node):
            name = getattr(node, "id", None) or getattr(node, "attr", None)
            if isinstance(node, ast.Name | ast.Attribute) and name and node.lineno in lines:
                used[name] = max(used.get(name, 0.0), lines[node.lineno])
    executed = {key.path for key in scores}
    found = {}
    for file in files.values():
        for key, unit in file.units.items():
            name = key.name.rpartition(".")[2]
            foreign = bool(unit.classes) and file.path not in executed
            if unit.function is None and name in used and not foreign:
                found[key] = used[name] * 0.9
    return found


def _counts(runs: Iterable[Lines]) -> dict[tuple[UnitKey, int], int]:
    counts: dict[tuple[UnitKey, int], int] = {}
    for run in runs:
        for key, lines in run.items():
            for line in lines:
                counts[key, line] = counts.get((key, line), 0) + 1
    return counts
