"""The search for one group of failing tests: screen candidates in order, judge the promising."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from .candidates import Candidate, Pool, Prepared, pairs
from .items import Outcome, Status
from .localisation import Spectrum
from .trials import Screening, Trials

_MAX_SCREENING_TESTS = 6
_SCREENING_CPU_S = 0.02
_MORE_AFTER_WHOLE = 240
"""Candidates still tried after one that fixes the whole group, to have a choice."""
_MORE_AFTER_PART = 1200
_PRIORITY_MARGIN = 1.0
_CLOSE_PRIORITY = 0.25
_PAIRED = 12
_CHEAP_COST = 1.8
_MAX_CHEAP = 500
_MAX_SLOW = 300
_TELL_EVERY = 240
_COST_OF_HANGING = 8
"""What a candidate that hangs counts for once there is a choice of others."""


@dataclass(frozen=True)
class Hit:
    """A candidate that turns failing tests green and lets no passing one fail."""

    prepared: Prepared
    fixed: frozenset[int]
    rank: int

    @property
    def candidate(self) -> Candidate:
        """The candidate itself."""
        return self.prepared.candidate


@dataclass(frozen=True)
class Choice:
    """The hit to accept, and how clear the choice was."""

    hit: Hit
    alternatives: int
    ambiguous: bool


@dataclass
class Search:
    """One search; its budget counts candidates, so that runs can be repeated exactly."""

    group: Sequence[int]
    failing: Sequence[int]
    """Every test that still fails, the group's included."""
    baseline: Mapping[int, Outcome]
    spectrum: Spectrum
    trials: Trials
    pool: Pool
    jobs: int
    max_candidates: int
    deadline: float
    tell: Callable[[int], None]
    tried: int = 0
    _hits: list[Hit] = field(default_factory=list)
    _progress: list[tuple[float, Candidate]] = field(default_factory=list)
    _slow: list[Prepared] = field(default_factory=list)
    """Candidates that may only have needed more time than screening gives."""

    def run(self) -> Choice | None:
        """Search single changes, then slow ones again, then pairs built on what made progress."""
        self._search(self.pool)
        if not self._has_whole() and self._slow:
            slow = self._slow[:_MAX_SLOW]
            self._search(slow, generous=True)
        if not self._hits and self._progress:
            self._search(self._pairs())
        return self._choose()

    def _search(self, pool: Iterable[Prepared], *, generous: bool = False) -> None:
        tests = self._screening_tests()
        spent, last = 0, self.max_candidates
        screenings = self.trials.screen(pool, tests, self._canary(), self.jobs, generous=generous)
        for screening in screenings:
            self.tried += 1
            if self.tried % _TELL_EVERY == 0:
                self.tell(self.tried)
            passed = {t for t, o in screening.outcomes.items() if o.status is Status.PASSED}
            hung = any(o.status is Status.HUNG for o in screening.outcomes.values())
            spent += _COST_OF_HANGING if hung and self._has_whole() else 1
            if passed:
                last = min(last, spent + self._judge(screening.prepared))
            else:
                self._note_progress(screening)
                if hung:
                    self._slow.append(screening.prepared)
            if spent >= last or time.monotonic() > self.deadline:
                return

    def _judge(self, prepared: Prepared) -> int:
        """Judge a candidate that looked good; return how many more are worth trying."""
        first = self._hits[0].candidate.priority if self._hits else None
        priority = prepared.candidate.priority
        if first is not None and priority > first + _PRIORITY_MARGIN and self._has_whole():
            return 0
        keys = prepared.candidate.keys
        guards = {test for key in keys for test in self.spectrum.passing_through(key)}
        others = [
            test
            for test in self.failing
            if test not in self.group and self.baseline[test].status is Status.FAILED
        ]
        tests = [*self.group, *sorted(guards), *others]
        outcomes = self.trials.judge(prepared, tests, guards)
        passed = {test for test, outcome in outcomes.items() if outcome.status is Status.PASSED}
        fixed = frozenset(passed.intersection(self.failing))
        if not fixed.intersection(self.group) or not guards <= passed:
            return self.max_candidates
        self._hits.append(Hit(prepared, fixed, self.tried))
        return _MORE_AFTER_WHOLE if self._has_whole() else _MORE_AFTER_PART

    def _has_whole(self) -> bool:
        return any(hit.fixed.issuperset(self.group) for hit in self._hits)

    def _choose(self) -> Choice | None:
        if not self._hits:
            return None
        gains = {id(hit): len(hit.fixed.intersection(self.group)) for hit in self._hits}
        best = min(self._hits, key=lambda hit: (-gains[id(hit)], hit.candidate.priority, hit.rank))
        rivals = [h for h in self._hits if h is not best and gains[id(h)] == gains[id(best)]]
        limit = best.candidate.priority + _CLOSE_PRIORITY
        close = any(rival.candidate.priority <= limit for rival in rivals)
        return Choice(best, len(rivals), close)

    def _screening_tests(self) -> list[int]:
        """Choose failing tests to screen with: quick ones first, hanging ones only if all hang."""
        ordered = sorted(self.group, key=lambda test: (self.baseline[test].cpu_s, test))
        reporting = [t for t in ordered if self.baseline[t].status is Status.FAILED]
        if not reporting:
            return ordered[:1]
        affordable = _SCREENING_CPU_S + 2 * self.baseline[reporting[0]].cpu_s
        chosen: list[int] = []
        for test in reporting[:_MAX_SCREENING_TESTS]:
            affordable -= self.baseline[test].cpu_s
            if chosen and affordable < 0:
                break
            chosen.append(test)
        return chosen

    def _canary(self) -> int | None:
        keys = {key for test in self.group for key in self.spectrum.failing[test]}
        passing = [t for t, lines in self.spectrum.passing.items() if keys.intersection(lines)]
        return min(passing, key=lambda test: (self.baseline[test].cpu_s, test), default=None)

    def _note_progress(self, screening: Screening) -> None:
        """Remember a candidate with which a test failed further down than before."""
        gain = 0.0
        for test, outcome in screening.outcomes.items():
            before = self.baseline[test]
            if outcome.status is Status.FAILED and outcome.line > before.line > 0:
                gain += 1 + min(outcome.line - before.line, 50) / 100
        if gain:
            self._progress.append((gain, screening.prepared.candidate))

    def _pairs(self) -> Iterable[Prepared]:
        ranked = sorted(self._progress, key=lambda item: (-item[0], item[1].priority))
        partial = [candidate for _, candidate in ranked[:_PAIRED]]
        cheap = [c for c in self.pool.candidates if c.cost <= _CHEAP_COST][:_MAX_CHEAP]
        prepared = map(self.pool.prepare, pairs(partial, cheap))
        return (item for item in prepared if item is not None)
