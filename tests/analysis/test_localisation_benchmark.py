"""The benchmark's fixes are complete, and its parts work on a mirror of three commits."""

import json
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from samples import write_files

from benchmarks.localisation.__main__ import EXECUTED, FIXES, cases, half_of, place_of
from benchmarks.localisation.collect import candidates, failing_tests
from benchmarks.localisation.fitting import fitted
from benchmarks.localisation.trees import Trees
from tools.analysis.paths import is_test

CART = "def total(lines):\n    return sum(lines)\n"
TEST = "from shop.cart import total\n\n\ndef test_total():\n    assert total([1]) == 1\n"


def git(folder: Path, *args: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@t"]
    subprocess.run(["git", *identity, *args], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def mirrors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One repository: a first commit, a fix with a test, and a change that is no fix."""
    folder = tmp_path_factory.mktemp("mirrors")
    work = write_files(
        folder / "work",
        {"shop/cart.py": CART, "shop/tax.py": "def tax(): ...\n", "tests/x.py": TEST},
    )
    git(work, "init", "-q")
    for title, text in (("Begin", CART), ("Fix the total of carts (#3)", CART * 2), ("More", "")):
        (work / "shop/cart.py").write_text(text)
        (work / "tests/x.py").write_text(TEST + text)
        git(work, "add", "-A")
        git(work, "commit", "-qm", title)
    git(folder, "clone", "-q", "--bare", str(work), "me+shop/repo")
    return folder


def test_collected_fix_names_its_files_and_tests(mirrors: Path) -> None:
    mirror = mirrors / "me+shop/repo"
    [fix] = candidates(mirror)
    assert fix["title"] == "Fix the total of carts"
    assert fix["files"] == ["shop/cart.py"]
    assert list(failing_tests(mirror, fix)) == ["tests/x.py"]


def test_cases_rank_the_fixed_file_and_can_be_fitted_to(mirrors: Path, tmp_path: Path) -> None:
    mirror = mirrors / "me+shop/repo"
    [fix] = candidates(mirror)
    fix |= {"repository": "me/shop", "tests": failing_tests(mirror, fix)}
    for _ in range(2):  # the second time from its cache
        with closing(Trees(tmp_path)) as trees:
            [case] = cases(mirrors, trees, [fix], "title and failing tests")
        assert place_of(case.fused, case.gold) == 1
        assert place_of(case.plain, case.gold) == 1
        assert not case.large
    assert fitted([case])["contents"] > 0
    run = {"messages": [["tests/x.py::test_total", "no"]], "executed": [["shop/tax.py", 1.0]]}
    with closing(Trees(tmp_path)) as trees:
        [case] = cases(mirrors, trees, [fix], "failing tests", {fix["fix"]: run})
    assert case.signals["executed"].tolist() == [0, 1]


def test_runs_are_of_fixes_and_name_no_tests() -> None:
    fixes = {json.loads(line)["fix"] for line in FIXES.read_text().splitlines()}
    runs = [json.loads(line) for line in EXECUTED.read_text().splitlines()]
    assert len(runs) >= 40
    assert len({run["fix"] for run in runs} & fixes) == len(runs)
    for run in runs:
        assert all(0 < score <= 1 and not is_test(path) for path, score in run["executed"])


def test_fixes_are_many_with_sources_and_in_both_halves() -> None:
    fixes = [json.loads(line) for line in FIXES.read_text().splitlines()]
    assert len(fixes) >= 200
    assert {half_of(fix["repository"]) for fix in fixes} == {"A", "B"}
    for fix in fixes:
        assert fix["source"] == f"https://github.com/{fix['repository']}/commit/{fix['fix']}"
        assert 1 <= len(fix["files"]) <= 2
        assert fix["title"]
        assert fix["tests"]
