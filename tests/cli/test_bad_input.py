"""Bad input: one clear line, the right exit code, nothing left behind."""

import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from homes import own_home
from samples import CALC, TEST_CALC, Repo, Run

from checkpoints.ledger import Ledger


def expect(result: object, code: int, *words: str) -> None:
    assert result.returncode == code, result.stderr  # type: ignore[attr-defined]
    line = result.stderr.strip().splitlines()[-1]  # type: ignore[attr-defined]
    assert line.startswith("sentient: ")
    for word in words:
        assert word in line
    assert "Traceback" not in result.stderr  # type: ignore[attr-defined]


def expect_nothing_left(sentient: Run) -> None:
    assert sentient("threads", "--json").stdout.strip() == "[]"
    assert sentient("desktop", "snapshots").stdout == ""
    assert sentient("desktop", "list").stdout == ""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, _own_configuration: None) -> Iterator[Path]:
    """A home of its own, so that nothing else is in the lists."""
    with own_home(tmp_path_factory, "bad-input") as folder:
        yield folder


def test_fix_missing_path_is_usage(sentient: Run) -> None:
    expect(sentient("fix", "/no/such/folder"), 2, "no such folder", "/no/such/folder")
    expect_nothing_left(sentient)


def test_fix_folder_without_tests_is_usage(sentient: Run, repo: Repo) -> None:
    expect(sentient("fix", str(repo({"notes.txt": "x"}))), 2, "no tests")
    expect_nothing_left(sentient)


def test_fix_empty_folder_is_usage(sentient: Run, tmp_path: Path) -> None:
    expect(sentient("fix", str(tmp_path)), 2, "no tests")


def test_fix_budget_in_dollars_without_a_price_says_what_to_set(sentient: Run, repo: Repo) -> None:
    local = {"OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}
    given = ["fix", str(repo()), "--model", "gpt-5-mini"]
    dollars = sentient(*given, "--budget-usd", "1", env=local)
    expect(dollars, 2, "'gpt-5-mini' has none here", "--price-in and --price-out")
    unknown = sentient(*given, "--role-budget", "tester:tokens=5", env=local)
    expect(unknown, 2, "only planner, coder, reviewer have")
    expect_nothing_left(sentient)


def test_fix_nothing_failing_and_no_task_is_usage(sentient: Run, repo: Repo) -> None:
    good = CALC.replace("(len(values) + 1)", "len(values)")
    expect(
        sentient("fix", str(repo({"calc.py": good, "test_calc.py": TEST_CALC}))), 2, "no test fails"
    )
    expect_nothing_left(sentient)


@pytest.mark.long
def test_fix_task_without_model_says_how_to_configure_one(sentient: Run, repo: Repo) -> None:
    good = CALC.replace("(len(values) + 1)", "len(values)")
    source = repo({"calc.py": good, "test_calc.py": TEST_CALC})
    expect(
        sentient("fix", str(source), "--task", "add a median"), 2, "needs a model", "OPENAI_API_KEY"
    )
    expect_nothing_left(sentient)


def test_fix_broken_conftest_is_usage(sentient: Run, repo: Repo) -> None:
    source = repo({"conftest.py": "import no_such_module\n", "test_a.py": "def test(): assert 0\n"})
    expect(sentient("fix", str(source)), 2, "no_such_module")
    expect_nothing_left(sentient)


def test_fix_url_that_cannot_be_cloned_is_usage(sentient: Run, tmp_path: Path) -> None:
    expect(sentient("fix", f"file://{tmp_path}/no.git"), 2, "cannot clone")
    expect_nothing_left(sentient)


def test_fix_other_test_runner_is_usage(sentient: Run, repo: Repo) -> None:
    expect(sentient("fix", str(repo()), "--tests", "make test"), 2, "not a command of a runner")


def test_fix_broken_archive_is_usage(sentient: Run, tmp_path: Path) -> None:
    broken = tmp_path / "x.tar.gz"
    broken.write_bytes(b"not an archive")
    expect(sentient("fix", str(broken)), 2, "cannot unpack x.tar.gz")
    expect_nothing_left(sentient)


def test_fix_archive_that_leaves_its_folder_is_usage(sentient: Run, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    with tarfile.open(tmp_path / "evil.tar", "w") as tar:
        tar.add(tmp_path / "f", "../../../home/user/evil")
    expect(sentient("fix", str(tmp_path / "evil.tar")), 2, "cannot unpack")


def test_fix_model_without_key_is_usage(sentient: Run, repo: Repo) -> None:
    expect(sentient("fix", str(repo()), "--model", "gpt-x"), 2, "needs a key or an endpoint")
    expect_nothing_left(sentient)


def test_fix_unreachable_model_endpoint_is_environment(sentient: Run, repo: Repo) -> None:
    env = {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1", "SENTIENT_MODEL_PATIENCE_S": "1"}
    result = sentient("fix", str(repo()), "--model", "m", env=env)
    expect(result, 4, "cannot reach the model endpoint", "OPENAI_BASE_URL")
    expect_nothing_left(sentient)


def test_fix_apply_without_folder_is_usage(sentient: Run) -> None:
    expect(sentient("fix", "https://127.0.0.1/x.git", "--apply"), 2, "--apply needs a folder")


def test_fix_unreadable_task_file_is_usage(sentient: Run, repo: Repo) -> None:
    expect(sentient("fix", str(repo()), "--task", "@/no/such"), 2, "cannot read the task")


def test_bad_setting_is_usage(sentient_process: Run) -> None:
    expect(
        sentient_process("threads", env={"SENTIENT_TEST_TIMEOUT_S": "soon"}),
        2,
        "SENTIENT_TEST_TIMEOUT_S",
    )


@pytest.mark.parametrize("days", ["1e12", "inf", "nan", "-1", "soon"])
def test_prune_age_out_of_bounds_is_usage(sentient: Run, days: str) -> None:
    expect(sentient("prune", env={"SENTIENT_KEEP_DAYS": days}), 2, "SENTIENT_KEEP_DAYS")


def test_prune_by_force_without_names_is_usage(sentient: Run) -> None:
    for more in ([], ["--older-than", "0h"], ["--keep", "latest"], ["--dry-run"]):
        expect(sentient("prune", "--force", *more), 2, "--force", "name them")


def test_unknown_thread_is_usage(sentient: Run) -> None:
    for command in ("show", "diff", "resume"):
        expect(sentient(command, "nope"), 2, "there is no thread nope")


@pytest.mark.parametrize("thread", ["caf\udce9", "a\x00b", "two\nlines", "\x1b[2J"])
def test_thread_id_that_can_be_none_is_usage(sentient: Run, repo: Repo, thread: str) -> None:
    for command in (
        ["show", thread],
        ["history", thread],
        ["logs", thread],
        ["diff", thread],
        ["resume", thread],
        ["fork", thread, "--from", "latest"],
        ["fork", "nope", "--from", "latest", "--thread", thread],
        ["fix", str(repo()), "--thread", thread],
        ["prune", thread],
    ):
        done = sentient(*command)
        expect(done, 2, repr(thread), "is no thread id")
        assert len(done.stderr.splitlines()) == 1
    expect_nothing_left(sentient)


def test_words_that_are_no_utf8_are_usage(sentient: Run, repo: Repo) -> None:
    expect(sentient("fix", str(repo()), "--task", "caf\udce9"), 2, "cannot be kept")
    expect(sentient("fix", "/no/caf\udce9"), 2, "cannot be kept")
    expect_nothing_left(sentient)


def test_run_unknown_language_is_usage(sentient: Run) -> None:
    expect(sentient("run", "cobol", "-"), 2, "neither python nor node")


HOSTILE = {
    "hangs": ("import time\n\n\ndef test_hang():\n    time.sleep(1000)\n", "no end after 1 s"),
    "ignores": (
        "import signal, time\n\n\ndef test_hang():\n"
        "    signal.signal(signal.SIGALRM, signal.SIG_IGN)\n"
        "    while True:\n        time.sleep(1)\n",
        "no end after 1 s",
    ),
    "kills": (
        "import os, signal\n\n\ndef test_kill():\n    os.killpg(0, signal.SIGKILL)\n",
        "the test process died",
    ),
}
"""Tests that hang, that ignore signals and hang, that kill their process group; the reasons."""


def test_fix_hostile_tests_are_failing_tests_with_their_reasons(
    sentient: Run, repo: Repo, home: Path
) -> None:
    files = {"calc.py": CALC, "test_calc.py": TEST_CALC}
    files |= {f"test_{name}.py": test for name, (test, _) in HOSTILE.items()}
    env = {"SENTIENT_TEST_TIMEOUT_S": "1", "SENTIENT_REPAIR_BUDGET_S": "1"}
    result = sentient("fix", str(repo(files)), "--max-attempts", "1", "--json", env=env)
    assert result.returncode == 3, result.stderr
    ledger = Ledger(home / "ledger.db")
    [row] = ledger.threads()
    history = [r for r in ledger.test_history(row["id"]) if r["kind"] == "baseline"]
    ledger.forget_thread(row["id"])
    ledger.close()
    for name, (_, reason) in HOSTILE.items():
        [message] = [r["message"] for r in history if r["test"].startswith(f"test_{name}.py")]
        assert reason in message or "Timeout" in message, (name, message)
    assert sentient("desktop", "list").stdout == ""


@pytest.mark.long
def test_fix_test_with_endless_output_is_survived(sentient: Run, repo: Repo) -> None:
    flood = (
        "import sys\n\n\ndef test_flood(capfd):\n    with capfd.disabled():\n"
        "        for _ in range(200):\n            sys.stdout.write('x' * (1 << 20))\n"
    )
    source = repo({"calc.py": CALC, "test_calc.py": TEST_CALC, "test_flood.py": flood})
    result = sentient("fix", str(source), "--json")
    assert result.returncode == 0, result.stderr + result.stdout[-2000:]
