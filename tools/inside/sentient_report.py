"""A pytest plugin that writes one JSON line per fact to a pipe.

Lines: {"collected": [ids]}, {"error": {id, message}}, {"start": id}, {"test": {id, outcome,
seconds, message}}, {"finish": exit_status}. Each line is written at once, so that a run which
dies leaves everything up to its death. Masked tests run under meaningless names, so that code which
recognises a test by its name cannot. With a canary's token tests that must fail are planted among
the others: where one of them passes, results are not to be believed.
"""

import pytest
from _pytest.unittest import TestCaseFunction
from sentient_reporting import CANARIES, MESSAGE_LIMIT, RANK, Report, must_fail, renamed, tracer


class Reporter:
    """Turns pytest's hooks into lines."""

    def __init__(self, told):
        self.write = Report(told["pipe"]).write
        self.masked, self.canary, self.only = told["masked"], told["canary"], set(told["only"])
        self.reach = tracer(told)
        self.names = {}
        self.current = {}

    def true_id(self, nodeid):
        return self.names.get(nodeid, nodeid)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items):
        if self.only:
            items[:] = [item for item in items if item.nodeid in self.only]
        if self.canary and items:
            plant(items, self.canary)
        if self.masked:
            for number, item in enumerate(items):
                self.mask(item, f"t{number}")

    def mask(self, item, name):
        self.names[name] = item.nodeid
        if hasattr(item, "_id"):  # pytest 9.2 and later
            item._id = type(item._id).parse(name)
        else:
            item._nodeid = name
        if item.nodeid != name:  # a verdict under true names would be worth less, unnoticed
            raise pytest.UsageError("this pytest does not let tests be renamed")
        if not isinstance(item, TestCaseFunction):  # unittest finds its method by this name
            item.name = name
        function = getattr(getattr(item, "obj", None), "__func__", getattr(item, "obj", None))
        if hasattr(function, "__code__"):
            function.__code__ = function.__code__.replace(co_name=name, co_qualname=name)

    def pytest_collection_finish(self, session):
        self.write(collected=[self.true_id(item.nodeid) for item in session.items])

    def pytest_collectreport(self, report):
        if report.failed:
            message = str(report.longrepr)[-MESSAGE_LIMIT:]
            self.write(error={"id": report.nodeid, "message": message})

    def pytest_runtest_logstart(self, nodeid):
        test = self.true_id(nodeid)
        self.current = {"id": test, "outcome": "passed", "seconds": 0, "message": ""}
        self.write(start=test)
        self.reach.switch(test)

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
        self.write(**self.reach.facts())
        self.write(finish=int(exitstatus))


def plant(items, token):
    """Put tests that must fail at the beginning, in the middle and at the end."""
    modules = [item.getparent(pytest.Module) for item in items]
    modules = [module for module in modules if type(module) is pytest.Module]
    for number in range(CANARIES if modules else 0):
        name = f"test_{token}_{number}"
        module = modules[number * (len(modules) - 1) // CANARIES]
        planted = renamed(must_fail, name)
        item = pytest.Function.from_parent(module, name=name, callobj=planted)
        items.insert(number * len(items) // (CANARIES - 1), item)


def outcome_of(report):
    """One of RANK's keys for one phase (setup, call, teardown) of a test."""
    if hasattr(report, "wasxfail"):
        return "xfailed" if report.skipped else "xpassed"
    if report.failed:
        return "failed" if report.when == "call" else "error"
    return "skipped" if report.skipped else "passed"
