"""Mutants: small faults put into changed lines, to see whether a test would notice them.

They are made by the operators with which the engine repairs, from text alone; nothing is executed.
"""

from collections.abc import Collection
from dataclasses import dataclass
from itertools import zip_longest

from tools.repair.operators import changes
from tools.repair.scope import Scope
from tools.repair.source import SourceFile

FAMILIES = (
    "comparison", "negation", "and-or", "arithmetic", "augmented-assignment", "constant",
    "boolean", "drop-operand", "off-by-one", "jump",
)  # fmt: skip
"""Operators whose changes seldom mean the same as what was there; the most telling first."""


@dataclass(frozen=True)
class Mutant:
    """A file with one fault in it."""

    path: str
    line: int
    before: str
    after: str
    """The line without and with the fault."""
    text: str
    """The whole file with the fault."""


def mutants(path: str, text: str, lines: Collection[int], limit: int) -> list[Mutant]:
    """At most `limit` faults at some lines of functions and assignments, spread over the lines.

    None for a text that is no Python.
    """
    try:
        file = SourceFile.parse(path, text)
        found = {line: _at(file, line) for line in sorted(set(lines))}
    except (SyntaxError, ValueError, RecursionError):
        return []
    rounds = zip_longest(*found.values())
    return [mutant for one in rounds for mutant in one if mutant is not None][:limit]


def _at(file: SourceFile, line: int) -> list[Mutant]:
    """One mutant a family, the family's likeliest."""
    best: dict[str, tuple[float, str]] = {}
    for unit in file.units.values():
        if unit.key.line <= line <= unit.last_line:
            for change in changes(Scope(unit, file.tree, {}), {line}):
                if change.line == line and change.operator in FAMILIES:
                    known = best.get(change.operator)
                    if known is None or change.cost < known[0]:
                        text = file.text_with(unit.edited(change.edits))
                        best[change.operator] = (change.cost, text)
    texts = [best[family][1] for family in FAMILIES if family in best]
    return [mutant for text in texts for mutant in _mutant(file, text)]


def _mutant(file: SourceFile, text: str) -> list[Mutant]:
    pairs = zip(file.original.split("\n"), text.split("\n"), strict=False)
    for number, (before, after) in enumerate(pairs, 1):
        if before != after:
            return [Mutant(file.path, number, before.strip(), after.strip(), text)]
    return []
