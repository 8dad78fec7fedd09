"""Which lines of which units a test executes, and the types its variables take there."""

import signal
import sys
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import CodeType, FrameType
from typing import Any

from . import forks
from .baseline import Suite
from .source import SourceFile, UnitKey

Lines = dict[UnitKey, set[int]]
_MAX_TYPE_SAMPLES = 300


@dataclass
class Trace:
    """What one run of one test touched."""

    lines: Lines = field(default_factory=dict)
    types: dict[UnitKey, dict[str, set[str]]] = field(default_factory=dict)


class UnitIndex:
    """Finds the unit a piece of running code belongs to, nested functions included."""

    def __init__(self, files: dict[str, SourceFile], open_file: Callable[[str], bool]) -> None:
        self._files = files
        self._open_file = open_file
        self._found: dict[int, tuple[CodeType, UnitKey | None]] = {}
        """By identity: hashing a code object means hashing all of it, at every call."""

    def unit_of(self, code: CodeType) -> UnitKey | None:
        """Return the unit of a code object, None for code that is no candidate for repair."""
        found = self._found.get(id(code))
        if found is None:
            found = self._found[id(code)] = (code, self._find(code))
        return found[1]

    def _find(self, code: CodeType) -> UnitKey | None:
        if not self._open_file(code.co_filename):
            return None
        name = code.co_qualname.split(".<locals>")[0]
        keys = [key for key in self._files[code.co_filename].units if key.name == name]
        above = [key for key in keys if key.line <= code.co_firstlineno]
        return max(above, key=lambda key: key.line, default=None)


class _OutOfTimeError(BaseException):
    pass


def trace_tests(
    suite: Suite,
    tests: Sequence[int],
    index: UnitIndex,
    only: Collection[UnitKey] | None = None,
    cpu_limit_s: float = 1.0,
) -> dict[int, Trace]:
    """Trace tests one after the other; one cut off at its limit keeps what it had reached."""
    traces: dict[int, Trace] = {}
    remaining = list(tests)
    while remaining:

        def body(report: forks.Report, tests: Sequence[int] = tuple(remaining)) -> None:
            for test in tests:
                report(test, None)
                report(test, _trace(suite, test, index, only, cpu_limit_s))

        records = forks.run(body, suite.wall_limit_s)
        ended = {test: trace or Trace() for test, trace in records} or {remaining[0]: Trace()}
        traces |= ended
        remaining = remaining[len(ended) :]
    return traces


def _trace(
    suite: Suite,
    test: int,
    index: UnitIndex,
    only: Collection[UnitKey] | None,
    cpu_limit_s: float,
) -> Trace:
    trace, samples = Trace(), dict[UnitKey, int]()

    def enter(frame: FrameType, event: str, argument: Any) -> Callable[..., Any] | None:
        key = index.unit_of(frame.f_code)
        if key is None or (only is not None and key not in only):
            return None
        lines = trace.lines.setdefault(key, set())
        types = trace.types.setdefault(key, {})

        def step(frame: FrameType, event: str, argument: Any) -> Callable[..., Any]:
            if event == "line":
                lines.add(frame.f_lineno)
            samples[key] = samples.get(key, 0) + 1
            if samples[key] < _MAX_TYPE_SAMPLES or samples[key] % 50 == 0:
                for name, value in frame.f_locals.items():
                    types.setdefault(name, set()).add(type(value).__name__)
            return step

        return step

    def stop(*_: object) -> None:
        sys.settrace(None)
        raise _OutOfTimeError

    signal.signal(signal.SIGPROF, stop)
    with suppress(BaseException):
        sys.settrace(enter)
        suite.runner.run(suite.items[test], cpu_limit_s)
    sys.settrace(None)
    forks.limit_cpu(0)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    return trace
