"""kill -9 of the desktop server under a run: the run goes on, or its resume does, to the same
patch, and no effect of a tool call is in the files twice."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from homes import own_home
from samples import MAIN, MARKED_PATCH, ROOT, Repo
from scripted_model import Script, call, scripted_model

ONE, TWO = (call("shell", command=f"echo '# {word}' >> calc.py") for word in ("one", "two"))
GOOD = call("replace", path="calc.py", old="(len(values) + 1)", new="len(values)")
CODER = [ONE, TWO, GOOD, call("hand_in", summary="done")]


@pytest.fixture(scope="module")
def model() -> Iterator[dict[str, str]]:
    with scripted_model(Script(coder=CODER)) as url:
        yield {"OPENAI_BASE_URL": url, "SENTIENT_MODEL": "scripted"}


def run(
    arguments: list[str], home: Path, env: dict[str, str]
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "SENTIENT_HOME": str(home), **env},
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip


KILLED = str(ROOT / "tests/support/killed_cli.py")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, _own_configuration: None) -> Iterator[Path]:
    """A home of its own: its server is killed, and the desktops that are left are counted."""
    with own_home(tmp_path_factory, "crash") as folder:
        yield folder


@pytest.mark.long
@pytest.mark.parametrize("node", ["prepare", "planner", "act", "tester"])
def test_server_killed_run_goes_on_and_gives_the_same_patch(
    node: str, home: Path, model: dict[str, str], repo: Repo, tmp_path: Path
) -> None:
    thread, log = f"server-{node}", tmp_path / "killed"
    plan = [KILLED, node, "worked", "server", str(log), "--"]
    done = run([*plan, "fix", str(repo()), "--thread", thread, "--json"], home, model)
    assert log.read_text() == f"{node} worked server"
    if done.returncode != 0:
        done = run([*MAIN[1:], "resume", thread, "--json"], home, model)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["patch"] == MARKED_PATCH
    assert run([*MAIN[1:], "desktop", "list"], home, model).stdout == ""
