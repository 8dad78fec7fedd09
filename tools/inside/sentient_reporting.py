"""What the Python runners have in common: where facts are written, and how the repository opens."""

import json
import os
import sys
from pathlib import Path

from sentient_executed import Executed
from sentient_reach import Reach

MESSAGE_LIMIT = 2000
"""Characters of a failure's text that are kept: its end, where the assertion is."""

CANARIES = 3
"""Tests that are planted, if the suite has any place to put them in."""

RANK = {
    "passed": 0, "skipped": 1, "xfailed": 2, "xpassed": 3, "failed": 4, "error": 5, "timeout": 6,
}  # fmt: skip


class Report:
    """Writes one JSON line per fact, at once: a run that dies leaves what led to its death."""

    def __init__(self, pipe):
        os.set_inheritable(pipe, False)
        self.pipe = pipe

    def write(self, **line):
        data = json.dumps(line).encode() + b"\n"
        while data:
            data = data[os.write(self.pipe, data) :]


def tracer(told):
    """What traces a run: all functions, or else the lines that are asked about."""
    return Executed() if told["functions"] else Reach(told["lines"])


def open_repository(folders):
    """Let modules of the repository be found, by this process and by what tests start.

    Everything else was imported by now, so no look-alike in the repository takes its place.
    """
    if sys.flags.no_site:
        import site

        site.main()  # from here on as usual, with what .pth files bring
    paths = [str(path) for path in folders if path.is_dir()]
    sys.path[:0] = paths
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)


def must_fail(*_):
    raise AssertionError("planted")


def renamed(function, name):
    """A copy of a function that calls itself otherwise, to whoever looks at the stack."""
    code = function.__code__.replace(co_name=name, co_qualname=name)
    copy = type(function)(
        code, function.__globals__, name, function.__defaults__, function.__closure__
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    copy.__dict__.update(function.__dict__)
    return copy


def repository_path(file):
    """A file's path in the repository, empty for one that is elsewhere."""
    try:
        return Path(file).resolve().relative_to(Path.cwd()).as_posix()
    except (TypeError, ValueError):
        return ""
