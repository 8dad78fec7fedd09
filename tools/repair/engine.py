"""The repair loop: find what fails, search a fix for one group of tests, accept it, go on."""

import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from . import localisation
from .baseline import Suite, measure
from .candidates import Candidate, Pool, generate
from .edits import Replacement, replacements
from .items import ItemRunner, Outcome, Status
from .kinds import Kinds
from .live import LiveCode
from .localisation import Spectrum
from .reimport import ImportSearch
from .report import Fix, Progress, Result, Suspect
from .rerun import ScratchCopy
from .search import Choice, Search
from .source import UnitKey
from .targets import Targets
from .tracing import Lines, Trace, UnitIndex, trace_tests
from .trials import Trials

_MAX_TRACED_FAILING = 24
_MAX_TRACED_HUNG = 4
_MAX_TRACED_PASSING = 400
_TRACED_SHARE = 0.012
"""Of the time budget, in untraced test time: tracing takes some ten times as long."""
_MAX_SUSPECTS = 20
_CLEAN_RUN_SHARE = 0.15


@dataclass(frozen=True)
class Options:
    """What the command line asks for."""

    root: Path
    budget_s: float = 60.0
    max_candidates: int = 4000
    """Tried for one group of failing tests."""
    jobs: int = 2
    test_timeout_s: float = 5.0
    protected: tuple[str, ...] = ()
    pytest_arguments: tuple[str, ...] = ()


@dataclass
class Engine:
    """One repair session on the items pytest collected."""

    options: Options
    items: Sequence[pytest.Item]
    runner: ItemRunner
    progress: Progress
    deadline: float
    """When the search has to end, on the monotonic clock."""
    open_scratch: Callable[[], ScratchCopy]
    result: Result = field(default_factory=Result)
    accepted: list[Fix] = field(default_factory=list)

    def __post_init__(self) -> None:
        collected = {str(item.path) for item in self.items}
        self.suite = Suite(self.items, self.runner, self.options.test_timeout_s)
        self.targets = Targets(self.options.root, self.options.protected, collected)
        self.index = UnitIndex(self.targets.files, self.targets.open_file)
        self._traces: dict[int, Trace] = {}
        self._passing: dict[int, Lines] = {}

    def run(self) -> None:
        """Measure, localise and repair; the accepted fixes still await a clean run."""
        started = time.monotonic()
        self.baseline = measure(self.suite, range(len(self.items)))
        self.baseline_s = time.monotonic() - started
        # A clean run takes as long, unless it is hanging that made this one long.
        self.deadline -= min(self.baseline_s, _CLEAN_RUN_SHARE * self.options.budget_s)
        failing = [test for test, outcome in self.baseline.items() if outcome.is_failure]
        self.result.tests = len(self.items)
        self.result.failing = [self.suite.name(test) for test in failing]
        self.progress.tell("baseline", tests=len(self.items), failing=len(failing))
        if not failing:
            self.result.status = "nothing-failing"
            return
        self._trace(failing)
        self._tell_suspects(failing)
        self.live = LiveCode(self.targets.files)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # candidates may look silly
            self._repair(failing)

    def _trace(self, failing: Sequence[int]) -> None:
        limit = min(1.0, self.options.test_timeout_s)
        hung = [t for t in failing if self.baseline[t].status is not Status.FAILED]
        ended = [test for test in failing if test not in hung][:_MAX_TRACED_FAILING]
        self._traces = trace_tests(self.suite, ended, self.index, cpu_limit_s=limit)
        some = hung[:_MAX_TRACED_HUNG]
        self._traces |= trace_tests(self.suite, some, self.index, cpu_limit_s=0.3)
        keys = {key for trace in self._traces.values() for key in trace.lines}
        self._open_files({key.path for key in keys})
        passing = self._passing_to_trace()
        traces = trace_tests(self.suite, passing, self.index, only=keys, cpu_limit_s=limit)
        self._passing = {test: trace.lines for test, trace in traces.items()}
        self._types = _merged_types([*self._traces.values(), *traces.values()])

    def _open_files(self, executed: set[str]) -> None:
        """Read the files tests executed (in children), and those only imported so far."""
        imported = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
        for path in sorted(executed.union(filter(None, imported))):
            self.targets.open_file(path)

    def _passing_to_trace(self) -> list[int]:
        """Choose passing tests to trace: those beside failing ones first, then evenly."""
        passing = [t for t, o in self.baseline.items() if o.status is Status.PASSED]
        files = {self.items[test].path for test in self._traces}
        beside = [test for test in passing if self.items[test].path in files]
        others = [test for test in passing if self.items[test].path not in files]
        room = max(0, _MAX_TRACED_PASSING - len(beside))
        step = max(1, -(-len(others) // room)) if room else len(others) + 1
        chosen, cpu_s = list[int](), 0.0
        for test in beside[:_MAX_TRACED_PASSING] + others[::step][:room]:
            cpu_s += self.baseline[test].cpu_s
            if cpu_s > _TRACED_SHARE * self.options.budget_s:
                break
            chosen.append(test)
        return sorted(chosen)

    def _tell_suspects(self, failing: Sequence[int]) -> None:
        spectrum = self._spectrum(failing)
        scores = spectrum.suspicion(list(spectrum.failing))
        suspects = [
            Suspect(self.targets.relative(key.path), line, round(score, 3))
            for key, lines in scores.items()
            for line, score in lines.items()
        ]
        suspects.sort(key=lambda suspect: (-suspect.score, suspect.path, suspect.line))
        self.result.suspicious = suspects[:_MAX_SUSPECTS]
        groups = spectrum.groups()
        self.progress.tell("localised", units=len(scores), groups=len(groups))

    def _spectrum(self, failing: Sequence[int]) -> Spectrum:
        traced = {t: self._traces[t].lines for t in failing if t in self._traces}
        return Spectrum(traced, self._passing)

    def _repair(self, failing: list[int]) -> None:
        self.trials = Trials(self.suite, self.live, self.baseline)
        hopeless: set[tuple[int, ...]] = set()
        while failing and time.monotonic() < self.deadline:
            spectrum = self._spectrum(failing)
            groups = [g for g in spectrum.groups() if tuple(g) not in hopeless]
            if not groups:
                return
            pool = self._pool(groups[0], spectrum)
            choice = self._search(groups[0], failing, spectrum, pool)
            if choice is not None:
                failing = self._accept(choice, failing)
                hopeless = set()
            elif (candidate := self._search_by_import(groups[0], pool)) is not None:
                failing = self._accept_unseen(candidate, failing)
            else:
                hopeless.add(tuple(groups[0]))

    def _pool(self, group: list[int], spectrum: Spectrum) -> Pool:
        scores = spectrum.suspicion(group)
        statements = localisation.statement_suspicion(scores, self.targets.files)
        candidates = generate(self.targets.files, scores, statements, self._types)
        self.result.candidates += len(candidates)
        return Pool(candidates, self.live)

    def _search(
        self, group: list[int], failing: Sequence[int], spectrum: Spectrum, pool: Pool
    ) -> Choice | None:
        def tell(tried: int) -> None:
            total = self.result.tried + tried
            self.progress.tell("search", tried=total, candidates=self.result.candidates)

        tell(0)
        search = Search(
            group,
            failing,
            self.baseline,
            spectrum,
            self.trials,
            pool,
            self.options.jobs,
            self.options.max_candidates,
            self.deadline,
            tell,
        )
        choice = search.run()
        self.result.tried += search.tried
        tell(0)
        return choice

    def _search_by_import(self, group: Sequence[int], pool: Pool) -> Candidate | None:
        slow = [c for c in pool.candidates if c.changes[0][0].function is None]
        slow = sorted([*slow, *pool.unpatchable], key=lambda candidate: candidate.priority)
        if not slow:
            return None
        passing = [t for t, o in self.baseline.items() if o.status is Status.PASSED]
        names = set(map(self.suite.name, passing))
        search = ImportSearch(self.open_scratch(), self._texts_with, names, self.deadline)
        candidate = search.run(slow, [self.suite.name(test) for test in group])
        self.result.tried += search.tried
        return candidate

    def _texts_with(self, candidate: Candidate) -> dict[str, str]:
        texts = {path: file.text() for path, file in self.targets.files.items()}
        for unit in candidate.changed_units():
            texts[unit.key.path] = self.targets.files[unit.key.path].text_with(unit)
        originals = {path: file.original for path, file in self.targets.files.items()}
        changed = {path: text for path, text in texts.items() if text != originals[path]}
        return {self.targets.relative(path): text for path, text in changed.items()}

    def _accept(self, choice: Choice, failing: Sequence[int]) -> list[int]:
        """Put a fix into the running code and see what fails then."""
        for patch in choice.hit.prepared.patches:
            patch.install()
        keys = set(choice.hit.candidate.keys)
        affected = [test for test in failing if self._may_depend(test, keys)]
        outcomes = measure(self.suite, affected)
        self._record(choice.hit.candidate, outcomes, choice.alternatives, choice.ambiguous)
        remaining = [test for test in failing if self.baseline[test].is_failure]
        touched = [test for test in affected if test in remaining and test in self._traces]
        self._traces |= trace_tests(self.suite, touched, self.index)
        return remaining

    def _accept_unseen(self, candidate: Candidate, failing: Sequence[int]) -> list[int]:
        """Accept a fix that the running code cannot show."""
        ended = self.open_scratch().run(self._texts_with(candidate), self.deadline)
        outcomes = {
            test: Outcome(Status.PASSED, cpu_s=self.baseline[test].cpu_s)
            if ended.get(self.suite.name(test)) is Status.PASSED
            else self.baseline[test]
            for test in failing
        }
        self._record(candidate, outcomes, 0, False)
        return [test for test in failing if outcomes[test].is_failure]

    def _record(
        self, candidate: Candidate, outcomes: dict[int, Outcome], alternatives: int, ambiguous: bool
    ) -> None:
        files = self.targets.files
        before = {key.path: files[key.path].text() for key in candidate.keys}
        for unit in candidate.changed_units():
            files[unit.key.path].units[unit.key] = unit
        edits: list[Replacement] = []
        for path, text in sorted(before.items()):
            edits += replacements(self.targets.relative(path), text, files[path].text())
        fixed = [self.suite.name(test) for test, o in outcomes.items() if not o.is_failure]
        unit, change = candidate.changes[0]
        path = self.targets.relative(unit.key.path)
        self.accepted.append(
            Fix(
                tuple(fixed),
                candidate.operator,
                path,
                change.line,
                tuple(edits),
                alternatives,
                ambiguous,
            )
        )
        self.baseline |= outcomes
        self.trials = Trials(self.suite, self.live, self.baseline)
        self.progress.tell("fix", operator=candidate.operator, path=path, tests=fixed)

    def _may_depend(self, test: int, keys: set[UnitKey]) -> bool:
        """Tell whether changed units can matter to a test; bindings matter to any."""
        if test not in self._traces:
            return self.baseline[test].status is Status.FAILED
        units = (self.targets.files[key.path].units[key] for key in keys)
        binding = any(unit.function is None for unit in units)
        return binding or not keys.isdisjoint(self._traces[test].lines)


def _merged_types(traces: Sequence[Trace]) -> dict[UnitKey, dict[str, Kinds]]:
    seen: dict[UnitKey, dict[str, set[str]]] = {}
    for trace in traces:
        for key, names in trace.types.items():
            for name, types in names.items():
                seen.setdefault(key, {}).setdefault(name, set()).update(types)
    return {key: {n: frozenset(t) for n, t in names.items()} for key, names in seen.items()}
