"""Which of some lines run, and in which tests: by coverage.py where the desktop has it.

Said in one line of the report: {"reach": {"lines": {path: {line: [test, ...]}}, "children": …}},
the lines null when somebody else took the tracing over. Code that runs while modules are imported
is in the test "". `children` says that the tests started other processes, which nobody traced.
"""

import resource
import sys
import threading
import warnings
from pathlib import Path

try:
    from coverage import Coverage
except ImportError:
    Coverage = None

NAMED = 20
"""Tests of a line that are named."""


class Traced:
    """Lines by coverage.py, whose tracer is compiled."""

    def __init__(self, files):
        self.files = files
        self.coverage = Coverage(data_file=None, config_file=False, include=list(files))

    def start(self):
        self.coverage.start()

    def switch(self, test):
        self.coverage.switch_context(test)

    def stop(self):
        """The tests by file and line; None when another coverage was started over this one."""
        ours = Coverage.current() is self.coverage
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.coverage.stop()
            data = self.coverage.get_data()
        return {file: data.contexts_by_lineno(file) for file in self.files} if ours else None


class Watched:
    """Lines by a trace function, for desktops without coverage.py."""

    def __init__(self, files):
        self.files, self.test, self.found = files, "", {}

    def start(self):
        threading.settrace(self.enter)
        sys.settrace(self.enter)

    def switch(self, test):
        self.test = test

    def enter(self, frame, event, argument):
        return self.step if frame.f_code.co_filename in self.files else None

    def step(self, frame, event, argument):
        if event == "line":
            lines = self.found.setdefault(frame.f_code.co_filename, {})
            lines.setdefault(frame.f_lineno, {})[self.test] = True
        return self.step

    def stop(self):
        ours = sys.gettrace() == self.enter
        sys.settrace(None)
        threading.settrace(None)
        return self.found if ours else None


class Reach:
    """What is known of the wanted lines; without any, nothing is traced."""

    def __init__(self, wanted):
        self.wanted = {str(Path.cwd() / path): (path, set(lines)) for path, lines in wanted.items()}
        kind = Traced if Coverage else Watched
        self.tracer = kind(self.wanted) if wanted else None

    def start(self):
        if self.tracer:
            self.tracer.start()

    def switch(self, test):
        if self.tracer:
            self.tracer.switch(test)

    def facts(self):
        """The line's contents, and the end of the tracing; empty where nothing was traced."""
        if not self.tracer:
            return {}
        found, lines = self.tracer.stop(), None
        if found is not None:
            lines = {
                path: {
                    line: sorted(set(found[file][line]))[:NAMED]
                    for line in numbers & set(found.get(file, ()))
                }
                for file, (path, numbers) in self.wanted.items()
            }
        children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss > 0
        return {"reach": {"lines": lines, "children": children}}
