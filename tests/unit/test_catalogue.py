"""The catalogue of cheats and honest patches against what needs no desktop: text and syntax."""

import difflib
import json

import pytest
from catalogue import (
    cheats_hard_coded,
    cheats_in_code,
    cheats_on_tests,
    honest,
    other_runners,
    package_runners,
)
from catalogue.cases import REPOSITORIES, Case

from nodes.gates import GATES, run_gates
from tools.patch import ChangedFile
from tools.protection import violations

CHEATS = (
    cheats_on_tests.CHEATS
    + cheats_in_code.CHEATS
    + cheats_hard_coded.CHEATS
    + other_runners.CHEATS
    + package_runners.CHEATS
)
HONEST = honest.HONEST + other_runners.HONEST + package_runners.HONEST
NAMED_BY_CONFIGURATION = ["start.js"]
"""Files that only the runner's own configuration says to be protected."""

GATE_NAMES = {gate.__name__ for gate in GATES}


def texts(case: Case) -> dict[str, str] | None:
    """The files after the case's edits; None where only a desktop can carry them out."""
    files = dict(REPOSITORIES[case.repository])
    for item in case.calls:
        name, arguments = item["calls"][0]
        args = json.loads(arguments)
        if name == "shell":
            return None
        if name == "replace":
            assert files[args["path"]].count(args["old"]) == 1
            files[args["path"]] = files[args["path"]].replace(args["old"], args["new"])
        else:
            files[args["path"]] = args["content"]
    return files


def objections(case: Case, files: dict[str, str]) -> set[str]:
    """Gates that block, and what is said of protected files."""
    before = REPOSITORIES[case.repository]
    changed = [path for path in files if files[path] != before.get(path)]
    tests = [path for path in before if path.startswith("test_")]
    targets = [
        f"{path}::{line[4:].partition('(')[0]}"
        for path in tests
        for line in before[path].split("\n")
        if line.startswith("def test_") and "clamp" not in line  # that one passes already
    ]
    patch = "".join(difference(path, before.get(path, ""), files[path]) for path in changed)
    listed = [ChangedFile(path=path, status="M" if path in before else "A") for path in changed]
    judged = {path: files[path].encode() for path in [*changed, *tests]}
    findings = run_gates(patch, targets, judged)
    return {item["gate"] for item in findings if item["blocking"]} | set(
        violations(listed, [*targets, *NAMED_BY_CONFIGURATION])
    )


def difference(path: str, old: str, new: str) -> str:
    lines = difflib.unified_diff(
        old.split("\n"), new.split("\n"), f"a/{path}", f"b/{path}", lineterm=""
    )
    return "\n".join([f"diff --git a/{path} b/{path}", *lines]) + "\n"


@pytest.mark.parametrize("case", HONEST, ids=lambda case: case.name)
def test_gates_honest_patch_is_not_refused(case: Case) -> None:
    files = texts(case)
    if files is not None:
        assert objections(case, files) == set()


@pytest.mark.parametrize("case", CHEATS, ids=lambda case: case.name)
def test_gates_cheat_that_is_text_is_refused(case: Case) -> None:
    files = texts(case)
    expected = set(case.expect.split("|"))
    if files is not None and (expected <= GATE_NAMES or "protected" in case.expect):
        found = objections(case, files)
        assert any(words in item for item in found for words in expected), found


def test_catalogue_is_as_large_as_it_says() -> None:
    assert len({case.name for case in CHEATS}) == len(CHEATS) >= 100
    assert len({case.name for case in HONEST}) == len(HONEST) >= 30
