"""A pytest plugin that writes one JSON line per fact to the file named by SENTIENT_REPORT.

Lines: {"collected": [ids]}, {"error": {id, message}}, {"start": id}, {"test": {id, outcome,
seconds, message}}, {"finish": exit_status}. Each line is written at once, so that a run which
dies leaves everything up to its death. With SENTIENT_MASK=1 tests run under meaningless names,
so that code which recognises a test by its name cannot.
"""

import json
import os

import pytest
from _pytest.unittest import TestCaseFunction

MESSAGE_LIMIT = 2000
"""Characters of a failure's text that are kept: its end, where the assertion is."""

RANK = {"passed": 0, "skipped": 1, "xfailed": 2, "xpassed": 3, "failed": 4, "error": 5}


class Reporter:
    """Turns pytest's hooks into lines."""

    def __init__(self, path, masked):
        self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.masked = masked
        self.names = {}
        self.current = {}

    def write(self, **line):
        os.write(self.fd, json.dumps(line).encode() + b"\n")

    def true_id(self, nodeid):
        return self.names.get(nodeid, nodeid)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items):
        if self.masked:
            for number, item in enumerate(items):
                self.mask(item, f"t{number}")

    def mask(self, item, name):
        self.names[name] = item.nodeid
        item._nodeid = name
        if not isinstance(item, TestCaseFunction):  # unittest finds its method by this name
            item.name = name
        function = getattr(getattr(item, "obj", None), "__func__", getattr(item, "obj", None))
        if hasattr(function, "__code__"):
            function.__code__ = function.__code__.replace(co_name=name, co_qualname=name)

    def pytest_collection_finish(self, session):
        self.write(collected=[self.true_id(item.nodeid) for item in session.items])

    def pytest_collectreport(self, report):
        if report.failed:
            self.write(
                error={"id": report.nodeid, "message": str(report.longrepr)[-MESSAGE_LIMIT:]}
            )

    def pytest_runtest_logstart(self, nodeid):
        self.current = {
            "id": self.true_id(nodeid),
            "outcome": "passed",
            "seconds": 0,
            "message": "",
        }
        self.write(start=self.true_id(nodeid))

    def pytest_runtest_logreport(self, report):
        outcome = outcome_of(report)
        self.current["seconds"] = round(self.current["seconds"] + report.duration, 4)
        if RANK[outcome] > RANK[self.current["outcome"]]:
            self.current["outcome"] = outcome
            if report.failed:
                self.current["message"] = str(report.longrepr)[-MESSAGE_LIMIT:]

    def pytest_runtest_logfinish(self):
        self.write(test=self.current)

    def pytest_sessionfinish(self, exitstatus):
        self.write(finish=int(exitstatus))


def outcome_of(report):
    """One of RANK's keys for one phase (setup, call, teardown) of a test."""
    if hasattr(report, "wasxfail"):
        return "xfailed" if report.skipped else "xpassed"
    if report.failed:
        return "failed" if report.when == "call" else "error"
    return "skipped" if report.skipped else "passed"


def pytest_configure(config):
    path = os.environ.pop("SENTIENT_REPORT", "")
    if path:
        masked = os.environ.pop("SENTIENT_MASK", "") == "1"
        config.pluginmanager.register(Reporter(path, masked), "sentient-reporter")
