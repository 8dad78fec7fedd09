"""The command line: `python -m sentient_repair --root REPO --out RESULT.json -- <pytest args>`."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from .engine import Options
from .report import Progress
from .rerun import import_path
from .session import repair

_ENVIRONMENT = {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}


def main(arguments: Sequence[str]) -> int:
    """Run the engine; the exit code is 0 whenever a result was written."""
    if any(os.environ.get(name) != value for name, value in _ENVIRONMENT.items()):
        _start_again()
    split = list(arguments).index("--") if "--" in arguments else len(arguments)
    asked = _parser().parse_args(arguments[:split])
    options = Options(
        asked.root.resolve(),
        asked.budget_s,
        asked.max_candidates,
        max(1, asked.jobs),
        asked.test_timeout_s,
        tuple(asked.protect),
        tuple(arguments[split + 1 :]),
    )
    out = asked.out.resolve()
    progress = Progress(_claim_standard_output())
    os.chdir(options.root)
    sys.path[:0] = import_path(options.root)
    repair(options, progress).write(out)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sentient_repair", description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="the repository")
    parser.add_argument("--out", type=Path, required=True, help="where to write the result")
    parser.add_argument("--budget-s", type=float, default=60.0, help="wall seconds (60)")
    parser.add_argument(
        "--max-candidates", type=int, default=4000, help="tried for a group of tests (4000)"
    )
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time (2)")
    parser.add_argument("--test-timeout-s", type=float, default=5.0, help="for one test (5)")
    parser.add_argument(
        "--protect", action="extend", nargs="+", default=[], metavar="GLOB", help="never edited"
    )
    return parser


def _claim_standard_output() -> int:
    """Keep standard output for events and give everything that prints a silent one."""
    sys.stdout.flush()
    kept = os.dup(1)
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.close(silence)
    return kept


def _start_again() -> None:
    """Replace this process by one whose hashes are the same every time."""
    environment = os.environ | _ENVIRONMENT
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
