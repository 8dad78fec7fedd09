"""Collects what the failing tests of the Python fixes executed, by the tracer that desktops have.

    python -m benchmarks.localisation.execute MIRRORS PYTHONS WORK [COMMIT...] > executed.jsonl

Needs root on Linux, uv, and a network: `old_commits.py`. PYTHONS holds interpreters as
`3.9.18/bin/python3`; WORK is an empty folder that everybody may read. Tests that fail at the base
and pass with the fix are the failing ones. Fixes without any are left out.
"""

import argparse
import json
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.localisation.old_commits import PACKAGES, OldCommit
from tools.analysis.paths import is_test
from tools.analysis.spectrum import touched
from tools.results import Executed

FIXES = Path(__file__).with_name("fixes.jsonl")
PROGRAMS = (
    Path(__file__).with_name("traced_plugin.py"),
    Path(__file__).parents[2] / "tools/inside/sentient_executed.py",
)
TEST_FILE = re.compile(r"(?:^|/)(?:test_[^/]*|[^/]*_tests?|test[a-z]*)\.py$")
DATA_TESTS = {"black": ["tests/test_format.py"], "pylint": ["tests/test_functional.py"]}
"""What runs the test data of repositories whose fixes change data alone."""

OPTIONS = {"pytest": ["-p", "pytester"]}
MESSAGES = 20
OTHER_FILES = 3
"""Other test files that passing tests are taken from."""


def results(old: OldCommit, only: Sequence[str] = ()) -> dict[str, Any]:
    """What the plugin says of the fix's tests and of some others."""
    prefix = "" if old.root == old.tree else f"{old.root.relative_to(old.tree)}/"
    near = [path.removeprefix(prefix) for path in old.fix["tests"] if TEST_FILE.search(path)]
    near = near or DATA_TESTS.get(old.name, [])
    others = sorted(str(path.relative_to(old.root)) for path in old.root.rglob("test_*.py"))
    others = [path for path in others if path not in near and "/roots/" not in path]
    far = Random(0).sample(others, min(OTHER_FILES, len(others)))
    names = [name for found in old.fix["tests"].values() for name in found]
    names += [Path(path).stem for path in old.fix["tests"]]
    out = old.work / "out/told.json"
    out.unlink(missing_ok=True)
    told = {"names": names, "near": near, "only": list(only), "out": str(out)}
    options = ["-q", "-p", "traced_plugin", "-p", "no:cacheprovider", "-o", "addopts="]
    options += ["-o", "filterwarnings=", "--continue-on-collection-errors"]
    options += [*OPTIONS.get(old.name, []), *near, *far, f"--rootdir={old.root}"]
    python = f"{old.env}/bin/python"
    old.guest(python, "-m", "pytest", *options, seconds=90, told=json.dumps(told))
    return json.loads(out.read_text()) if near and out.exists() else {"tests": {}}


def executed(old: OldCommit) -> dict[str, Any]:
    """The files that the failing tests executed with their scores, and what the tests said."""
    old.check_out(fixed=False)
    old.install()
    found = results(old)
    failed = [test for test, outcome in found["tests"].items() if outcome == "failed"]
    if not failed or "executed" not in found:
        return {}
    old.check_out(fixed=True)
    after = results(old, failed)["tests"]
    failing = [test for test in failed if after.get(test) == "passed"]
    passing = [test for test, outcome in found["tests"].items() if outcome == "passed"]
    prefix = "" if old.root == old.tree else f"{old.root.relative_to(old.tree)}/"
    calls = Executed.model_validate(found["executed"]).calls()
    files = [
        [f"{prefix}{file.path}", file.score]
        for file in touched(calls, failing, passing)
        if not is_test(f"{prefix}{file.path}")
    ]
    said = [[f"{prefix}{test}", found["messages"].get(test, "")] for test in failing[:MESSAGES]]
    return {"executed": files, "messages": said} if failing else {}


def main() -> None:
    """Write one JSON line for each fix whose tests could be run."""
    parser = argparse.ArgumentParser(prog="benchmarks.localisation.execute", description=__doc__)
    for name in ("mirrors", "pythons", "work"):
        parser.add_argument(name, type=Path)
    parser.add_argument("commits", nargs="*")
    given = parser.parse_args()
    plugin = given.work / "plugin"
    plugin.mkdir(exist_ok=True)
    for program in PROGRAMS:
        shutil.copy(program, plugin)
    for line in FIXES.read_text().splitlines():
        fix = json.loads(line)
        mirror = given.mirrors / fix["repository"].replace("/", "+") / "repo"
        if fix["repository"].partition("/")[2] in PACKAGES and (
            not given.commits or fix["fix"][:12] in given.commits
        ):
            found = executed(OldCommit(fix, mirror, given.pythons.resolve(), given.work.resolve()))
            if found:
                sys.stdout.write(json.dumps({"fix": fix["fix"], **found}) + "\n")
                sys.stdout.flush()
            sys.stderr.write(f"{fix['source']}: {len(found.get('executed', []))} files\n")


if __name__ == "__main__":
    main()
