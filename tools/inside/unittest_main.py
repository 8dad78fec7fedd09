"""Runs `python -m unittest` with its own discovery and loader, and reports each test to a pipe.

    python -s -P [-S] unittest_main.py [FOLDER OF PACKAGES...] < TOLD

unittest is imported before anything of the repository is on the path. What is told:
`runner_commands.py`; the lines: `sentient_report.py`. A test is named like pytest would: file,
classes and method with `::` between; one that a loader makes twice is `…[2]` the second time.
"""

import json
import re
import signal
import sys
import time
import unittest
from collections import Counter
from pathlib import Path
from types import MethodType

sys.path += sys.argv[1:]
sys.path.insert(0, str(Path(__file__).parent))
from sentient_reporting import (
    CANARIES,
    MESSAGE_LIMIT,
    RANK,
    Report,
    must_fail,
    open_repository,
    renamed,
    repository_path,
    tracer,
)

del sys.path[0]

FIXTURE = re.compile(r"(setUp|tearDown)(?:Class|Module) \((.*)\)")


class TooSlow(BaseException):
    """Raised in a test at its time limit; no `except Exception` of the code stops it."""


def too_slow(*_):
    raise TooSlow


class Tests:
    """The tests of a suite by their names, in the order they run."""

    def __init__(self, suite, told):
        self.told, self.names, self.errors = told, {}, []
        self.given = Counter()
        suite._tests = list(self.kept(suite))
        self.plant(suite)
        self.tests = list(leaves(suite))
        if told["masked"]:
            for number, test in enumerate(self.tests):
                mask(test, f"t{number}")

    def kept(self, suite):
        """What is left of a suite without tests that are not wanted, or are no tests."""
        for item in suite:
            if isinstance(item, unittest.TestSuite):
                item._tests = list(self.kept(item))
                yield item
            elif type(item).__name__ == "_FailedTest":
                message = str(item._exception)[-MESSAGE_LIMIT:]
                self.errors.append({"id": item._testMethodName, "message": message})
            elif self.wanted(self.name(item)):
                yield item

    def wanted(self, name):
        only = self.told["only"]
        return name not in self.told["excluded"] and (not only or name in only)

    def name(self, test):
        name = name_of(test)
        self.given[name] += 1
        self.names[id(test)] = f"{name}[{self.given[name]}]" if self.given[name] > 1 else name
        return self.names[id(test)]

    def plant(self, suite):
        """Put tests that must fail before, between and after the others."""
        if not self.told["canary"] or not any(leaves(suite)):
            return
        while len(suite._tests) == 1 and holds_suites(suite._tests[0]):
            suite = suite._tests[0]
        for number in range(CANARIES):
            name = f"test_{self.told['canary']}_{number}"
            case = type(f"Test{number}", (unittest.TestCase,), {name: renamed(must_fail, name)})
            test = case(name)
            self.names[id(test)] = name
            suite._tests.insert(number * len(suite._tests) // (CANARIES - 1), test)

    def of(self, owner):
        """The tests of a class or a module, by its dotted name."""
        for test in self.tests:
            kind = type(test)
            if owner in (kind.__module__, f"{kind.__module__}.{kind.__qualname__}"):
                yield self.names[id(test)]


def leaves(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from leaves(item)
        else:
            yield item


def holds_suites(item):
    """Whether it is a suite of suites; between the tests of one class no other is put."""
    suites = [isinstance(part, unittest.TestSuite) for part in getattr(item, "_tests", [])]
    return bool(suites) and all(suites)


def name_of(test):
    doctest = getattr(test, "_dt_test", None)
    if doctest is not None:
        path, name = repository_path(doctest.filename), doctest.name
    else:
        module = sys.modules.get(type(test).__module__)
        path = repository_path(getattr(module, "__file__", None))
        name = f"{type(test).__qualname__.replace('.', '::')}::{test._testMethodName}"
    return f"{path}::{name}" if path else test.id()


def mask(test, name):
    """Let a test run under another name; one that is no method of its class keeps its own."""
    method = getattr(type(test), test._testMethodName, None)
    if hasattr(method, "__code__"):
        test.__dict__[name] = MethodType(renamed(method, name), test)
        test._testMethodName = name


class Result(unittest.TextTestResult):
    """Writes lines; what it prints is the log."""

    def open(self, tests, report, reach, limit_s):
        self.tests, self.report, self.reach, self.limit_s = tests, report, reach, limit_s
        self.done, self.current = {}, {}

    def startTest(self, test):
        super().startTest(test)
        name = self.tests.names[id(test)]
        self.current = {"id": name, "outcome": "passed", "seconds": 0, "message": ""}
        self.begun = time.monotonic()
        self.report.write(start=name)
        self.reach.switch(name)
        signal.signal(signal.SIGALRM, too_slow)
        signal.setitimer(signal.ITIMER_REAL, self.limit_s)

    def stopTest(self, test):
        signal.setitimer(signal.ITIMER_REAL, 0)
        self.current["seconds"] = round(time.monotonic() - self.begun, 4)
        self.write(self.current)
        super().stopTest(test)

    def write(self, test):
        self.done[test["id"]] = test
        self.report.write(test=test)

    def note(self, test, outcome, message=""):
        """Keep the worst of what is said of a test; a fixture speaks for its tests."""
        message = message[-MESSAGE_LIMIT:]
        if isinstance(test, unittest.TestCase):
            if RANK[outcome] > RANK[self.current["outcome"]]:
                self.current.update(outcome=outcome, message=message)
            return
        match = FIXTURE.match(str(test))
        names = list(self.tests.of(match[2])) if match else []
        if match and match[1] == "tearDown":
            names = [name for name in names if name in self.done][-1:]
        for name in names:
            self.write({"id": name, "outcome": outcome, "seconds": 0, "message": message})

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        if not hasattr(test, "test_case"):  # one part of a test that is skipped decides nothing
            self.note(test, "skipped")

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self.note(test, "failed", self.failures[-1][1])

    def addError(self, test, error):
        super().addError(test, error)
        if issubclass(error[0], TooSlow):
            self.note(test, "timeout", f"no end after {self.limit_s:g} s")
        else:
            self.note(test, "error", self.errors[-1][1])

    def addSubTest(self, test, subtest, error):
        super().addSubTest(test, subtest, error)
        if error is not None:
            failed = issubclass(error[0], test.failureException)
            text = (self.failures if failed else self.errors)[-1][1]
            self.note(test, "failed" if failed else "error", f"{subtest}\n{text}")

    def addExpectedFailure(self, test, error):
        super().addExpectedFailure(test, error)
        self.note(test, "xfailed")

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self.note(test, "xpassed")


def runner(told, reach):
    """The class that takes the place of unittest's runner; it never stops at a failure."""
    report = Report(told["pipe"])

    class Runner(unittest.TextTestRunner):
        resultclass = Result

        def __init__(self, **options):
            super().__init__(**{**options, "failfast": False})

        def run(self, suite):
            suite = unittest.TestSuite([suite])
            self.tests = Tests(suite, told)
            for error in self.tests.errors:
                report.write(error=error)
            report.write(collected=[self.tests.names[id(test)] for test in self.tests.tests])
            result = super().run(suite)
            report.write(**reach.facts())
            report.write(finish=0 if result.wasSuccessful() else 1)
            return result

        def _makeResult(self):
            result = super()._makeResult()
            result.open(self.tests, report, reach, told["test_timeout_s"])
            return result

    return Runner


def main():
    told = json.load(sys.stdin)
    open_repository([Path.cwd()])
    arguments = ["python -m unittest", *told["arguments"]]
    sys.argv = arguments[:]
    reach = tracer(told)
    reach.start()
    unittest.main(module=None, argv=arguments, testRunner=runner(told, reach))


if __name__ == "__main__":
    main()
