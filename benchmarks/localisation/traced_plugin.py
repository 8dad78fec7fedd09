"""A pytest plugin that runs a fix's tests and some others under the tracer that desktops have.

Runs with Python 3.6 and later, in the environment of an old commit. TRACED holds JSON: names
(of the fix's tests), near (its test files), only (ids), out (a file).
"""

import json
import os
import signal
import time
from pathlib import Path

import pytest
from sentient_executed import Executed  # type: ignore[import-not-found]

OTHERS, TEST_S, ALL_S = 40, 20, 25
"""Other tests of the same files, and of others; seconds of a test, and until the last begins."""

TOLD = json.loads(os.environ["TRACED"])
TESTS = {}  # type: ignore[var-annotated]  # Python 3.6 is among those it runs with
MESSAGES = {}  # type: ignore[var-annotated]
MESSAGE = 2000
TRACER = Executed()
BEGUN = time.time()


class TooSlow(BaseException):
    """Raised in a test at its time limit."""


def too_slow(*_: object) -> None:
    """Handle the alarm."""
    raise TooSlow


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list) -> None:  # type: ignore[type-arg]
    """The named tests first, then some of the same files, then some of others."""
    groups = [], [], []  # type: ignore[var-annotated]
    for item in items:
        name = getattr(item, "originalname", None) or item.name.split("[")[0]
        in_brackets = item.name[len(name) + 1 : -1]
        is_named = name in TOLD["names"] or in_brackets in TOLD["names"]
        is_near = any(item.nodeid.split("::")[0].endswith(path) for path in TOLD["near"])
        groups[0 if is_named else 1 if is_near else 2].append(item)
    items[:] = groups[0]
    for others in groups[1:]:
        items += others[:: max(1, -(-len(others) // OTHERS))]
    if TOLD["only"]:
        items[:] = [item for item in items if item.nodeid in TOLD["only"]]


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item):  # type: ignore[no-untyped-def]
    """Trace a test, within its time."""
    if time.time() - BEGUN > ALL_S:
        item.session.shouldstop = "no more time"
    TRACER.switch(item.nodeid)
    signal.signal(signal.SIGALRM, too_slow)
    signal.alarm(TEST_S)
    yield
    signal.alarm(0)


def pytest_runtest_logreport(report):  # type: ignore[no-untyped-def]
    """Keep the worst outcome, and what is said of a failure."""
    worst = TESTS.get(report.nodeid, "passed")
    TESTS[report.nodeid] = report.outcome if worst == "passed" else worst
    if report.failed:
        MESSAGES[report.nodeid] = str(report.longrepr)[-MESSAGE:]


def pytest_sessionfinish() -> None:
    """Write all of it."""
    said = {"tests": TESTS, "messages": MESSAGES}
    Path(TOLD["out"]).write_text(json.dumps({**said, **TRACER.facts()}))
