"""A plain pytest run that writes how each test ended as it goes: the program behind `rerun`.

Usage: python -m <package>.recorder REQUEST; the file holds out, skip, only and arguments.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import pytest

QUIET_ARGUMENTS = (
    "-q",
    "-s",
    "--tb=no",
    "--assert=plain",
    "-p", "no:randomly",
    "-p", "no:unraisableexception",
    "-p", "no:threadexception",
    "-W", "ignore::pytest.PytestDeprecationWarning",
)  # fmt: skip
"""What every run of pytest gets: deterministic, silent, and cheap when a test fails.

The plugins taken out and the warning ignored stop projects that turn warnings into errors.
"""


class Recorder:
    """The plugin: one JSON line when a test starts and one when it has ended."""

    def __init__(self, stream: TextIO, skip: Sequence[str], only: Sequence[str]) -> None:
        self._stream = stream
        self._skip = set(skip)
        self._only = set(only)
        self._outcomes: dict[str, list[str]] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leave out the tests known already."""
        items[:] = [
            item
            for item in items
            if item.nodeid not in self._skip and (not self._only or item.nodeid in self._only)
        ]

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Say which test is about to run, should it never end."""
        self._outcomes[nodeid] = []
        self._write(nodeid, None)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Collect the outcomes of the test's phases."""
        self._outcomes[report.nodeid].append(report.outcome)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Say how the test ended."""
        outcomes = self._outcomes.pop(nodeid)
        status = next((word for word in ("failed", "skipped") if word in outcomes), "passed")
        self._write(nodeid, status)

    def _write(self, nodeid: str, status: str | None) -> None:
        self._stream.write(json.dumps([nodeid, status]) + "\n")
        self._stream.flush()


def main(arguments: Sequence[str]) -> int:
    """Run pytest as the arguments say."""
    request = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    with open(request["out"], "w", encoding="utf-8") as stream:
        recorder = Recorder(stream, request["skip"], request["only"])
        return int(pytest.main([*QUIET_ARGUMENTS, *request["arguments"]], plugins=[recorder]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
