"""One run of the engine: pytest collects, the engine repairs, a clean run has the last word."""

import functools
import os
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import pytest

from .edits import apply_replacement
from .engine import Engine, Options
from .items import ItemRunner, Status
from .recorder import QUIET_ARGUMENTS
from .report import Fix, Progress, Result
from .rerun import ScratchCopy
from .verdict import settle

_CLEAN_RUN_SHARE = 0.25
"""Of the time budget, kept back for validation on disk."""

_CLEAN_RUN_PATIENCE = 3.0
"""How many times as long as the first run a clean run may take, even past the budget."""

_TAMED_PLUGINS = {"xdist": "-n0", "pytest_cov": "--no-cov"}
"""Plugins that take over the running of tests or their tracing, and what stops them."""


def repair(options: Options, progress: Progress) -> Result:
    """Repair the repository in a pytest session of this process, then validate the fixes."""
    started = time.monotonic()
    end = started + options.budget_s
    with tempfile.TemporaryDirectory(prefix="repair-") as folder:
        arguments = _pytest_arguments(options, Path(folder))

        @functools.cache
        def open_scratch() -> ScratchCopy:
            limit_s = 2 * options.test_timeout_s + 1
            return ScratchCopy(options.root, Path(folder), arguments, limit_s)

        search_end = end - _CLEAN_RUN_SHARE * options.budget_s
        session = _Session(options, progress, search_end, open_scratch)
        code = pytest.main([*QUIET_ARGUMENTS, *arguments], plugins=[session, session.runner])
        result = session.result
        if session.engine is None and not result.message:
            result.status = "collection-error"
            result.message = f"pytest collected nothing (exit code {int(code)})"
        if session.engine is not None and session.engine.accepted:
            _validate(session.engine, end)
    _conclude(result)
    result.seconds = round(time.monotonic() - started, 2)
    return result


@dataclass
class _Session:
    """The pytest plugin that takes the place of running the tests."""

    options: Options
    progress: Progress
    deadline: float
    open_scratch: Callable[[], ScratchCopy]
    runner: ItemRunner = field(default_factory=ItemRunner)
    engine: Engine | None = None
    result: Result = field(default_factory=Result)
    _errors: list[str] = field(default_factory=list)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep what could not be collected."""
        if report.failed:
            self._errors.append(f"{report.nodeid}: {str(report.longrepr).strip()[-600:]}")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Repair instead of running."""
        if self._errors or not session.items:
            self.result.status = "collection-error"
            self.result.message = "\n".join(self._errors) or "pytest collected no tests"
            return True
        self.engine = Engine(
            self.options,
            session.items,
            self.runner,
            self.progress,
            self.deadline,
            self.open_scratch,
            self.result,
        )
        try:
            self.engine.run()
        except Exception:
            self.result.message = f"internal error: {traceback.format_exc()}"
        return True


def _pytest_arguments(options: Options, folder: Path) -> list[str]:
    arguments = [f"--rootdir={options.root}", "-o", f"cache_dir={folder / 'cache'}"]
    if not os.environ.get("PYTEST_DISABLE_PLUGIN_AUTOLOAD"):
        arguments += [option for plugin, option in _TAMED_PLUGINS.items() if find_spec(plugin)]
    return [*arguments, *options.pytest_arguments]


def _validate(engine: Engine, end: float) -> None:
    fixes, scratch = engine.accepted, engine.open_scratch()
    passing = [
        engine.suite.name(test)
        for test, outcome in engine.baseline.items()
        if outcome.status is Status.PASSED and engine.suite.name(test) not in engine.result.failing
    ]

    def clean_run(kept: Sequence[int]) -> dict[str, Status]:
        texts = _texts(engine.options.root, [fixes[number] for number in kept])
        limit = max(end, time.monotonic() + _CLEAN_RUN_PATIENCE * engine.baseline_s + 5)
        return scratch.run(texts, limit)

    verdict = settle(len(fixes), engine.result.failing, passing, clean_run)
    engine.result.fixes = [fixes[number] for number in verdict.kept]
    engine.result.fixed = list(verdict.fixed)
    if verdict.broken:
        engine.result.message = f"a fix was dropped, it broke {', '.join(verdict.broken[:5])}"
    engine.progress.tell("validated", fixes=len(verdict.kept), fixed=len(verdict.fixed))


def _texts(root: Path, fixes: Sequence[Fix]) -> dict[str, str]:
    texts: dict[str, str] = {}
    for fix in fixes:
        for edit in fix.edits:
            if edit.path not in texts:
                with open(os.path.join(root, edit.path), encoding="utf-8", newline="") as stream:
                    texts[edit.path] = stream.read()
            texts[edit.path] = apply_replacement(texts[edit.path], edit)
    return texts


def _conclude(result: Result) -> None:
    if result.status in {"nothing-failing", "collection-error"}:
        return
    if result.fixed:
        result.status = "fixed" if len(result.fixed) == len(result.failing) else "partial"
    elif not result.message:
        result.message = f"no fix among {result.tried} of {result.candidates} candidates"
