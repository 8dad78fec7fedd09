"""Running one collected pytest item through pytest's own protocol, and what came of it.

The whole protocol runs, so fixtures, marks, warning filters, unittest cases and plugins behave as
in a plain run. It always runs in a forked child.
"""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pytest

from . import forks


class Status(StrEnum):
    """How a test ended; the last two never reported."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    """Skipped, or failed as expected."""
    HUNG = "hung"
    DIED = "died"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run of one test."""

    status: Status
    line: int = 0
    """The line of the test's own file at which it failed."""
    cpu_s: float = 0.0
    error: str = ""
    """What it said when it failed, without memory addresses."""

    @property
    def was_busy(self) -> bool:
        """Whether it was computing when time ran out, rather than waiting for something."""
        return self.status is Status.HUNG and self.cpu_s > 0

    @property
    def is_failure(self) -> bool:
        """Whether the test needs fixing."""
        return self.status in {Status.FAILED, Status.HUNG, Status.DIED}


_ADDRESS = re.compile(r"0x[0-9a-fA-F]+")


class ItemRunner:
    """A pytest plugin that watches the reports of the item it is running."""

    def __init__(self) -> None:
        self._reports: list[pytest.TestReport] = []
        self._line = 0
        self._error = ""
        self._parameters: dict[str, dict[str, Any]] = {}

    def run(self, item: pytest.Item, cpu_limit_s: float) -> Outcome:
        """Run an item here and now, and be killed when it takes more CPU time than allowed."""
        self._reports, self._line, self._error = [], 0, ""
        self._renew_parameters(item)
        started = time.process_time()
        forks.limit_cpu(cpu_limit_s)
        item.ihook.pytest_runtest_protocol(item=item, nextitem=None)
        forks.limit_cpu(0)
        spent = time.process_time() - started
        return Outcome(self._status(), self._line, spent, self._error)

    def _renew_parameters(self, item: pytest.Item) -> None:
        """Give the test parameters that no earlier run of it can have changed."""
        parameters = getattr(getattr(item, "callspec", None), "params", None)
        if parameters:
            original = self._parameters.setdefault(item.nodeid, _fresh(parameters))
            parameters.update(_fresh(original))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the reports of the item's three phases."""
        self._reports.append(report)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Iterator[None]:
        """Note where in its own file the test failed: further down is progress."""
        if call.excinfo is not None and not self._error:
            self._error = _ADDRESS.sub("", f"{call.excinfo.typename}: {call.excinfo.value}"[:300])
            traceback = call.excinfo.tb
            while traceback is not None:
                if traceback.tb_frame.f_code.co_filename == str(item.path):
                    self._line = traceback.tb_lineno
                traceback = traceback.tb_next  # type: ignore[assignment]
        yield

    def _status(self) -> Status:
        outcomes = [report.outcome for report in self._reports]
        if "failed" in outcomes or not outcomes:
            return Status.FAILED
        return Status.SKIPPED if "skipped" in outcomes else Status.PASSED


def _fresh(value: Any) -> Any:
    """Copy plain containers all the way down; other objects may matter for who they are."""
    if type(value) in {list, set, tuple}:
        return type(value)(map(_fresh, value))
    if type(value) is dict:
        return {key: _fresh(item) for key, item in value.items()}
    return bytearray(value) if type(value) is bytearray else value
