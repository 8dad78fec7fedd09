"""Which functions of the repository each test calls: by a trace function that looks at calls alone.

Said in one line of the report: {"executed": {"functions": [[path, line], ...], "tests": {test:
[number of a function, ...]}}}, the line being the first one below the function's name. Absent when
somebody else took the tracing over. Code that runs while modules are imported is in no test.
"""

import sys
import threading
from dis import findlinestarts
from pathlib import Path

FUNCTIONS = 20_000
"""Functions that are told apart; further ones are not seen."""

CODES = 200_000
"""Code objects that are kept; tests may make ever new ones."""

STALE = 1_000_000
"""Calls of known functions after which the rest of a test is not traced: half a second of them."""

OPTIMIZED = 0x1
"""The flag of a function's code; that of modules and classes has it not."""


class Executed:
    """The functions that each test calls; nothing is traced before the first test."""

    def __init__(self):
        self.root = f"{Path.cwd()}/"
        self.functions, self.tests, self.now = [], {}, None
        self.known, self.stale, self.resting = {}, 0, False

    def start(self):
        pass

    def switch(self, test):
        if (self.now is None or self.resting) and sys.gettrace() is None:
            threading.settrace(self.enter)
            sys.settrace(self.enter)
        self.stale, self.resting = 0, False
        self.now = self.tests.setdefault(test, set())

    def enter(self, frame, event, argument):
        """Note a call. By identity: hashing a code object means hashing all of it."""
        known = self.known.get(id(frame.f_code))
        if known is None:
            if len(self.known) >= CODES:
                return
            known = self.known[id(frame.f_code)] = (self.number(frame.f_code), frame.f_code)
        if known[0] is None or known[0] in self.now:
            self.stale += 1
            if self.stale > STALE:
                self.rest()
        else:
            self.now.add(known[0])
            self.stale = 0

    def rest(self):
        """Trace nothing up to the next test."""
        self.resting = True
        sys.settrace(None)
        threading.settrace(None)

    def number(self, code):
        """The number of a function of the repository, None for other code."""
        path = code.co_filename
        wanted = code.co_flags & OPTIMIZED and path.startswith(self.root)
        if not wanted or len(self.functions) >= FUNCTIONS:
            return None
        head = code.co_firstlineno
        below = [line for _, line in findlinestarts(code) if line and line > head]
        self.functions.append([path[len(self.root) :], min(below, default=head)])
        return len(self.functions) - 1

    def facts(self):
        """The line's contents, and the end of the tracing."""
        if self.now is None or not (self.resting or sys.gettrace() == self.enter):
            return {}
        self.rest()
        tests = {test: sorted(numbers) for test, numbers in self.tests.items()}
        return {"executed": {"functions": self.functions, "tests": tests}}
