"""The command line as people use it, on the example and on small repositories."""

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from milestones import CALCULATOR_MILESTONES, milestones
from samples import (
    CALC,
    CALCULATOR,
    CALCULATOR_PATCH,
    STOREFRONT_PATCH,
    Repo,
    Run,
    copy_example,
    tree_of,
    write_files,
)

from checkpoints.lease import thread_lease
from checkpoints.ledger import Ledger


def test_fix_example_three_bugs_get_one_verified_patch(sentient: Run, tmp_path: Path) -> None:
    source = copy_example(tmp_path / "storefront")
    before = tree_of(source)
    result = sentient("fix", str(source), "--json")
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["status"] == "verified"
    assert len(report["files"]) == 3
    assert report["patch"] == STOREFRONT_PATCH
    assert tree_of(source) == before
    subprocess.run(["git", "apply", "-"], input=report["patch"], text=True, cwd=source, check=True)
    tests = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=source, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert tests.returncode == 0, tests.stdout


class Applied(NamedTuple):
    """A repository, and the run that wrote its patch into it."""

    source: Path
    result: "subprocess.CompletedProcess[str]"


@pytest.fixture(scope="module")
def shared() -> list[Applied]:
    return []


@pytest.fixture
def applied(
    sentient: Run, shared: list[Applied], tmp_path_factory: pytest.TempPathFactory
) -> Applied:
    """The thread `applied`, run by the first test that asks for it."""
    if not shared:
        source = write_files(tmp_path_factory.mktemp("applied") / "calculator", CALCULATOR)
        result = sentient("fix", str(source), "--apply", "--thread", "applied")
        shared.append(Applied(source, result))
    return shared[0]


def test_fix_report_is_readable_and_diff_show_threads_agree(
    sentient: Run, applied: Applied
) -> None:
    result = applied.result
    assert result.returncode == 0, result.stderr
    assert "verified" in result.stdout
    assert "changed   calc.py  +1 -1" in result.stdout
    assert "2 failing" in result.stderr
    assert sentient("diff", "applied").stdout == CALCULATOR_PATCH
    told = f"applied to {applied.source}\n"
    assert result.stdout.endswith(told)
    untouched = (
        "your files are as they were; the patch: sentient diff applied\n"
        "apply it: sentient diff applied --apply DIR\n"
    )
    assert sentient("show", "applied").stdout == result.stdout.removesuffix(told) + untouched
    rows = json.loads(sentient("threads", "--json").stdout)
    assert ("applied", "verified") in [(row["id"], row["status"]) for row in rows]
    assert "applied" in sentient("threads").stdout


def test_fix_apply_writes_the_patch_and_only_it(sentient: Run, applied: Applied) -> None:
    source = applied.source
    assert sorted(tree_of(source)) == ["calc.py", "test_calc.py"]
    assert (source / "calc.py").read_text() != CALC
    again = sentient("diff", "applied", "--apply", str(source))
    assert again.returncode == 2
    assert "does not apply" in again.stderr


def test_fix_uncommitted_changes_in_a_folder_of_odd_names_are_part_of_the_base(
    sentient: Run, repo: Repo
) -> None:
    name = "a b'\"ü$(x)"
    first = {"calc.py": "x = 1\n", "test_calc.py": "", "gone.py": "y = 2\n"}
    source = repo({**first, "strange \n name.txt": "x"}, name=name)
    commit_all(source)
    (source / "gone.py").unlink()
    (source / "link").symlink_to("/etc/passwd")
    repo(name=name)
    result = sentient("fix", str(source), "--approve")
    assert result.returncode == 5, result.stderr
    assert "4 uncommitted changes" in result.stdout + result.stderr


def commit_all(source: Path) -> list[str]:
    """Make a repository of a folder; return how git is called for it."""
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@t", "-C", str(source)]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "-A"], check=True)
    subprocess.run([*git, "commit", "-qm", "first"], check=True)
    return git


def test_fix_existing_thread_is_refused(sentient: Run, repo: Repo, applied: Applied) -> None:
    again = sentient("fix", str(repo()), "--thread", "applied")
    assert again.returncode == 2
    assert "sentient resume applied" in again.stderr
    assert sentient("resume", "applied").returncode == 0
    assert applied.result.returncode == 0


@pytest.mark.long
def test_fix_git_url_and_archive_work_like_a_folder(
    sentient: Run, repo: Repo, tmp_path: Path
) -> None:
    source = repo()
    git = commit_all(source)
    archive = tmp_path / "calculator.zip"
    archived = ["archive", "--prefix=calculator-1.0/", "-o", str(archive), "HEAD"]
    subprocess.run([*git, *archived], check=True)
    done = sentient("fix", f"file://{source}", "--jsonl")
    accepted, *told, ended = map(json.loads, done.stdout.splitlines())
    assert accepted["event"] == "accepted"
    assert milestones(told) == CALCULATOR_MILESTONES
    assert (ended["event"], ended["thread"]) == ("ended", accepted["thread"])
    assert ended["patch"] == CALCULATOR_PATCH, done.stderr
    waiting = json.loads(sentient("fix", str(archive), "--approve", "--json").stdout)
    assert waiting["question"]["plan"]["suspects"][0] == "calc.py"


def test_fix_approve_waits_with_exit_code_five(sentient: Run, repo: Repo) -> None:
    waiting = sentient("fix", str(repo()), "--approve", "--thread", "asks")
    assert waiting.returncode == 5
    assert "sentient resume asks --answer approve" in waiting.stdout
    assert sentient("show", "asks").stdout == waiting.stdout
    assert sentient("resume", "asks").returncode == 5
    assert "waiting: plan" in sentient("threads").stdout
    for wrong in (" ", "", "{", '{"answer": "perhaps"}', '{"answer": "edit"}', "{}"):
        refused = sentient("resume", "asks", "--answer", wrong)
        assert refused.returncode == 2, wrong
        [line] = refused.stderr.splitlines()
        assert "allowed: 'approve', 'reject', 'another goal in words'" in line
    shown = json.loads(sentient("show", "asks", "--json").stdout)
    assert (shown["status"], shown["question"]["kind"]) == ("waiting", "plan")
    schema = shown["answer_schema"]["properties"]
    assert schema["answer"]["enum"] == ["approve", "reject", "change", "edit"]
    edited = {"goal": "repair it", "steps": ["divide by the count"], "protected": ["docs"]}
    bad = json.dumps({"answer": "edit", "plan": {**edited, "protected": ["../x"]}})
    refused = sentient("resume", "asks", "--answer", bad)
    assert (refused.returncode, "plan.protected.0" in refused.stderr) == (2, True)
    answer = json.dumps({"answer": "edit", "plan": edited})
    done = sentient("resume", "asks", "--answer", answer)
    assert done.returncode == 0, done.stderr
    assert "plan: repair it; first in calc.py" in done.stderr
    assert "  plan      1. divide by the count\n            protected: docs" in done.stdout
    late = sentient("resume", "asks", "--answer", "approve")
    assert (late.returncode, "asks no question now" in late.stderr) == (2, True)


@pytest.mark.long
def test_fix_not_solved_keeps_report_and_best_patch(sentient: Run, repo: Repo) -> None:
    test = "from calc import clamp, mean\n\n\ndef test_mean():\n    assert mean([2]) == 2\n"
    test += "\n\ndef test_impossible():\n    assert clamp(1, 2, 3) == object()\n"
    env = {"SENTIENT_REPAIR_BUDGET_S": "30", "SENTIENT_REPAIR_CANDIDATES": "100"}
    source = repo({"calc.py": CALC, "test_calc.py": test})
    result = sentient("fix", str(source), "--thread", "partly", env=env)
    assert result.returncode == 3, result.stdout + result.stderr
    assert "not solved" in result.stdout
    assert "test_impossible" in result.stdout
    assert "calc.py" in sentient("diff", "partly").stdout


def test_run_snippet_passes_on_output_and_exit_code(sentient: Run) -> None:
    before = sentient("desktop", "list").stdout
    done = sentient("run", "python", "-", input="import sys\nprint(6 * 7)\nsys.exit(9)\n")
    assert (done.stdout, done.returncode) == ("42\n", 9)
    assert sentient("run", "node", "-", input="console.log(1 + 1)").stdout == "2\n"
    assert sentient("desktop", "list").stdout == before


def test_run_over_its_time_is_killed_and_says_so(sentient: Run) -> None:
    program = "import time\nprint('begun', flush=True)\ntime.sleep(60)\n"
    done = sentient("run", "python", "-", "--timeout", "1", input=program)
    assert (done.stdout, done.returncode) == ("begun\n", 124)
    assert "no end after 1 s" in done.stderr


def test_run_large_output_arrives_whole(sentient: Run) -> None:
    done = sentient("run", "python", "-", input="print('x' * 3_000_000)\n")
    assert len(done.stdout) == 3_000_001


def test_doctor_good_machine_is_all_ok(sentient: Run) -> None:
    result = sentient("doctor")
    assert result.returncode == 0, result.stdout
    assert "FAIL" not in result.stdout


def test_desktop_env_exports_lead_to_the_server(sentient: Run) -> None:
    lines = sentient("desktop", "env").stdout.splitlines()
    assert [line.split("=")[0] for line in lines] == [
        "export E2B_API_URL",
        "export E2B_SANDBOX_URL",
        "export E2B_API_KEY",
    ]


def test_threads_killed_run_is_stopped_and_a_live_one_running(sentient: Run, home: Path) -> None:
    ledger = Ledger(home / "ledger.db")
    for thread in ("dead", "alive"):
        ledger.save_thread(thread, status="running", source="x", input='{"secret": "x"}')
    with thread_lease(home / "leases", "alive"):
        rows = json.loads(sentient("threads", "--json").stdout)
        assert sentient("show", "alive").stdout == "running, in another process\n"
    status = {row["id"]: row["status"] for row in rows}
    assert (status["dead"], status["alive"]) == ("stopped", "running")
    assert not any("input" in row for row in rows)
    for thread in ("dead", "alive"):
        ledger.forget_thread(thread)
