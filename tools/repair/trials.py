"""Trying candidates on tests: many in one child to screen them, one in a child of its own to judge.

Screening shares a process between candidates, so what one leaves behind can mislead the next. It
is only ever a filter: whatever looks good is tried again in a fresh child.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from . import forks
from .baseline import Suite
from .candidates import Prepared
from .items import Outcome, Status
from .live import LiveCode

_BATCH = 24
_HANG_LIMIT_S = (0.05, 1.0)
_START, _TEST, _CLEAN = "start", "test", "clean"

Outcomes = dict[int, Outcome]


@dataclass(frozen=True)
class Screening:
    """A candidate with the outcomes of the tests it was screened with."""

    prepared: Prepared
    outcomes: Outcomes


class Trials:
    """Runs tests against candidates, with limits drawn from how long the tests took before."""

    def __init__(self, suite: Suite, live: LiveCode, baseline: Mapping[int, Outcome]) -> None:
        self._suite = suite
        self.live = live
        self.baseline = baseline
        times = sorted(o.cpu_s for o in baseline.values() if o.status is Status.PASSED)
        median = times[len(times) // 2] if times else 0.01
        low, high = _HANG_LIMIT_S
        self._hang_limit_s = max(low, min(high, 20 * median))
        slowest = max((self._limit_s(test, False) for test in baseline), default=low)
        self.screening_wall_limit_s = min(suite.wall_limit_s, 2.0 + 4 * slowest)

    def screen(
        self,
        pool: Iterable[Prepared],
        tests: Sequence[int],
        canary: int | None,
        jobs: int,
        *,
        generous: bool = False,
    ) -> Iterator[Screening]:
        """Yield candidates in order, each with the outcomes of `tests`.

        Args:
            pool: candidates; taken as needed.
            tests: failing tests to run against each.
            canary: a passing test that ends every batch, to notice state left behind.
            jobs: children at a time.
            generous: whether tests get the time they get when a candidate is judged.
        """
        source = iter(pool)
        waiting: list[_Batch] = []
        try:
            while True:
                while len(waiting) < jobs:
                    prepared = list(islice(source, _BATCH))
                    if not prepared:
                        break
                    waiting.append(_Batch(self, prepared, tests, canary, generous))
                if not waiting:
                    return
                while not waiting[0].is_complete():
                    forks.wait_any([batch.child for batch in waiting if not batch.child.done])
                    for batch in waiting:
                        batch.advance()
                yield from waiting.pop(0).screenings()
        finally:
            for batch in waiting:
                batch.child.finish()

    def judge(self, prepared: Prepared, tests: Sequence[int], stop_at: set[int]) -> Outcomes:
        """Run tests against one candidate in a fresh child; stop when one of `stop_at` fails."""

        def body(report: forks.Report) -> None:
            for patch in prepared.patches:
                patch.install()
            for test in tests:
                report(test, None)
                outcome = self.run(test, generous=True)
                report(test, outcome)
                if outcome.status is not Status.PASSED and test in stop_at:
                    return

        records = forks.run(body, self._suite.wall_limit_s)
        return {test: outcome or Outcome(Status.HUNG) for test, outcome in records}

    def run(self, test: int, *, generous: bool) -> Outcome:
        """Run a test in this process, which must be a child."""
        return self._suite.runner.run(self._suite.items[test], self._limit_s(test, generous))

    def _limit_s(self, test: int, generous: bool) -> float:
        before = self.baseline[test]
        if before.status in {Status.HUNG, Status.DIED}:
            limit = self._hang_limit_s * (8 if generous else 1)
        else:
            limit = (0.05 + 12 * before.cpu_s) * (4 if generous else 1)
        return min(self._suite.cpu_limit_s, limit)


class _Batch:
    """Candidates screened by one child after the other until all have their outcomes."""

    def __init__(
        self,
        trials: Trials,
        prepared: list[Prepared],
        tests: Sequence[int],
        canary: int | None,
        generous: bool,
    ) -> None:
        self._trials = trials
        self._prepared = prepared
        self._tests = tests
        self._canary = canary
        self._generous = generous
        self._outcomes: list[Outcomes] = []
        self._alone = False
        self.child = self._start()

    def is_complete(self) -> bool:
        """Tell whether every candidate has been screened."""
        return self.child.done and len(self._outcomes) >= len(self._prepared)

    def screenings(self) -> list[Screening]:
        """Return the results in the candidates' order."""
        return [
            Screening(prepared, outcomes)
            for prepared, outcomes in zip(self._prepared, self._outcomes, strict=True)
        ]

    def advance(self) -> None:
        """Take in what an ended child found; start another for candidates it did not reach."""
        if not self.child.done or self.is_complete():
            return
        found: list[Outcomes] = []
        clean = False
        for kind, *fields in self.child.records:
            if kind == _START:
                found.append({})
            elif kind == _TEST:
                found[-1][fields[0]] = fields[1] or Outcome(Status.HUNG)
            else:
                clean = fields[0]
        finished_all = len(self._outcomes) + len(found) >= len(self._prepared)
        if finished_all and not clean and not self._alone and self.child.records[-1][0] == _CLEAN:
            self._alone = True  # something was left behind: once more, each in its own child
            self._outcomes = []
            self.child = self._start()
            return
        self._outcomes += found or [{}]
        if len(self._outcomes) < len(self._prepared):
            self.child = self._start()

    def _start(self) -> forks.Fork:
        first = len(self._outcomes)
        last = first + 1 if self._alone else len(self._prepared)
        return forks.fork(
            lambda report: self._run(first, last, report), self._trials.screening_wall_limit_s
        )

    def _run(self, first: int, last: int, report: forks.Report) -> None:
        trials = self._trials
        before = None if self._alone else self._signs()
        for prepared in self._prepared[first:last]:
            report(_START)
            trials.live.clear_caches()
            try:
                for patch in prepared.patches:
                    patch.install()
                for test in self._tests:
                    report(_TEST, test, None)
                    report(_TEST, test, trials.run(test, generous=self._generous))
            except Exception:
                continue
            finally:
                for patch in reversed(prepared.patches):
                    patch.undo()
        report(_CLEAN, before is None or self._signs() == before)

    def _signs(self) -> list[tuple[Status, int, str]]:
        """Return how unchanged code does now: the same again, unless something was left behind."""
        trials = self._trials
        trials.live.clear_caches()
        failing = [t for t in self._tests[:1] if trials.baseline[t].status is Status.FAILED]
        tests = [*failing, *([] if self._canary is None else [self._canary])]
        outcomes = [trials.run(test, generous=True) for test in tests]
        return [(outcome.status, outcome.line, outcome.error) for outcome in outcomes]
