"""Candidates for a group of failing tests: every change of every suspicious unit, best first."""

import heapq
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from .kinds import Kinds
from .live import LiveCode, Patch, UnpatchableError
from .operators import changes
from .operators.site import Change
from .ranking import Ranker
from .scope import Scope
from .source import SourceFile, Unit, UnitKey

_MAX_UNITS = 40
_MIN_SUSPICION = 0.15
_UNSEEN_LINE = 0.7
"""What a change at a line no failing test executed gets of the unit's top suspicion."""


@dataclass(frozen=True)
class Candidate:
    """Changes of one or more units that are tried together."""

    changes: tuple[tuple[Unit, Change], ...]
    """Units as they are now, each with a change of it."""
    cost: float
    priority: float
    """Tried in this order: cost, weighed with how suspicious the place is."""

    @property
    def operator(self) -> str:
        """The operators' names."""
        return "+".join(change.operator for _, change in self.changes)

    @property
    def keys(self) -> tuple[UnitKey, ...]:
        """The units that change."""
        return tuple(dict.fromkeys(unit.key for unit, _ in self.changes))

    def changed_units(self) -> list[Unit]:
        """Return the units with the changes in them; one unit may have several."""
        edited = {}
        for key in self.keys:
            mine = [(unit, change) for unit, change in self.changes if unit.key == key]
            edits = tuple(edit for _, change in mine for edit in change.edits)
            edited[key] = mine[0][0].edited(edits)
        return list(edited.values())


@dataclass
class Prepared:
    """A candidate that compiles and differs from all before it."""

    candidate: Candidate
    patches: list[Patch]


@dataclass
class Pool:
    """The candidates of one group, generated once and handed out in order of priority."""

    candidates: list[Candidate]
    live: LiveCode
    unpatchable: list[Candidate] = field(default_factory=list)
    """Candidates that need a fresh import of their module."""
    _seen: set[Hashable] = field(default_factory=set)

    def __iter__(self) -> Iterator[Prepared]:
        for candidate in self.candidates:
            prepared = self.prepare(candidate)
            if prepared is not None:
                yield prepared

    def prepare(self, candidate: Candidate) -> Prepared | None:
        """Compile a candidate; None when that fails or means the same as an earlier one."""
        try:
            patches = [
                self.live.patch(unit, candidate.changes[0][1].operator)
                for unit in candidate.changed_units()
            ]
        except UnpatchableError:
            self.unpatchable.append(candidate)
            return None
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None
        fingerprint = (candidate.keys, tuple(patch.fingerprint for patch in patches))
        if fingerprint in self._seen:
            return None
        self._seen.add(fingerprint)
        return Prepared(candidate, patches)


def generate(
    files: Mapping[str, SourceFile],
    suspicion: Mapping[UnitKey, Mapping[int, float]],
    statements: Mapping[UnitKey, float],
    types: Mapping[UnitKey, Mapping[str, Kinds]],
) -> list[Candidate]:
    """Generate the candidates of the most suspicious units in order of priority."""
    tops = {key: max(lines.values()) for key, lines in suspicion.items()} | dict(statements)
    suspects = [key for key, top in tops.items() if top >= _MIN_SUSPICION]
    found = []
    for key in heapq.nsmallest(_MAX_UNITS, suspects, key=lambda key: (-tops[key], key)):
        file = files[key.path]
        unit = file.units[key]
        scope = Scope(unit, file.tree, types.get(key, {}))
        ranker, lines = Ranker(scope), suspicion.get(key, {})
        for change in changes(scope, lines):
            suspicious = lines.get(change.line, tops[key] * _UNSEEN_LINE)
            cost = ranker.cost(change)
            found.append(Candidate(((unit, change),), cost, cost * (2 - suspicious)))
    found.sort(key=lambda candidate: candidate.priority)
    return found


def pairs(partial: Sequence[Candidate], cheap: Sequence[Candidate]) -> list[Candidate]:
    """Combine changes that made some progress with cheap ones elsewhere, best first."""
    found = []
    for one in partial:
        for other in cheap:
            first, second = one.changes[0], other.changes[0]
            if first[0].key == second[0].key and _collide(first[1], second[1]):
                continue
            found.append(
                Candidate(
                    one.changes + other.changes,
                    one.cost + other.cost,
                    one.priority + other.priority,
                )
            )
    found.sort(key=lambda candidate: candidate.priority)
    return found


def _collide(one: Change, other: Change) -> bool:
    return any(
        a.start == b.start or (a.start < b.end and b.start < a.end)
        for a in one.edits
        for b in other.edits
    )
