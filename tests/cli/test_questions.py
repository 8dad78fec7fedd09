"""A question outlives everything but its answer: processes, the server, the desktop, its time."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from desktops import kill_desktops
from homes import own_home
from samples import ROOT, Repo, Run
from scripted_model import Script, call, scripted_model

from nodes.desktops import OWNER
from sentient_desktop.state import read_state
from tools.connection import Connection
from tools.desktop import Desktop, list_desktops
from tools.settings import Settings

KILLED = str(ROOT / "tests/support/killed_cli.py")
RETRY = '{"answer": "retry", "hint": "divide by the number of values"}'


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, _own_configuration: None) -> Iterator[Path]:
    """A home of its own, since its server is killed."""
    with own_home(tmp_path_factory, "questions") as folder:
        yield folder


@pytest.fixture
def model() -> Iterator[dict[str, str]]:
    """A coder that changes a file, gives up, and repairs when it is told to go on."""
    script = Script(
        coder=[
            call("shell", command="echo '# one line, once' >> calc.py"),
            call("hand_in", summary="the tests contradict it", impossible=True),
            call("replace", path="calc.py", old="(len(values) + 1)", new="len(values)"),
            call("hand_in", summary="done"),
        ]
    )
    with scripted_model(script) as url:
        yield {"OPENAI_BASE_URL": url, "SENTIENT_MODEL": "scripted"}


def answered(sentient: Run, thread: str, model: dict[str, str]) -> None:
    resumed = sentient("resume", thread, "--answer", RETRY, "--json", env=model)
    assert resumed.returncode == 0, resumed.stderr
    patch = json.loads(resumed.stdout)["patch"]
    assert patch.count("+# one line, once") == 1
    assert "+    return sum(values) / len(values)" in patch


async def let_expire(settings: Settings, thread: str) -> None:
    """End the time of the thread's desktop, which then is paused by the server."""
    [desktop_id] = [one async for one in list_desktops(Connection(settings), {OWNER: thread})]
    desktop = await Desktop.connect(desktop_id, timeout_s=1, connection=Connection(settings))
    await desktop.exec("true")
    await asyncio.sleep(1.5)


async def lose(settings: Settings, thread: str) -> None:
    assert await kill_desktops(Connection(settings), {OWNER: thread}) == 1


async def leave(settings: Settings, thread: str) -> None:
    """Nothing happens."""


@pytest.mark.parametrize(
    "disaster", [*(pytest.param(one, marks=pytest.mark.long) for one in (leave, let_expire)), lose]
)
def test_question_desktop_rests_and_the_answer_finds_its_files(
    sentient: Run, repo: Repo, model: dict[str, str], home: Path, disaster: Callable[..., object]
) -> None:
    thread = f"asks-{disaster.__name__}"
    asked = sentient("fix", str(repo()), "--ask", "--thread", thread, env=model)
    assert asked.returncode == 5, asked.stderr
    assert "the coder says: the tests contradict it" in asked.stdout
    assert "waiting: impossible" in sentient("threads").stdout
    [desktop] = sentient("desktop", "list").stdout.split()
    assert json.loads(sentient("desktop", "show", desktop, "--json").stdout)["state"] == "paused"
    asyncio.run(disaster(Settings(home=home), thread))  # type: ignore[arg-type]
    answered(sentient, thread, model)


@pytest.mark.long
def test_question_client_and_server_killed_is_asked_again_and_answered(
    sentient: Run, repo: Repo, model: dict[str, str], home: Path, tmp_path: Path
) -> None:
    log = tmp_path / "killed"
    killed = subprocess.run(
        [sys.executable, KILLED, "impossible", "entered", "self", str(log), "--",
         "fix", str(repo()), "--ask", "--thread", "killed"],
        env={**os.environ, "SENTIENT_HOME": str(home), **model},
        capture_output=True, check=False,
    )  # fmt: skip
    assert (killed.returncode, log.read_text()) == (-9, "impossible entered self")
    asked = sentient("resume", "killed", env=model)
    assert asked.returncode == 5, asked.stderr
    os.kill(read_state(home / "desktop")["pid"], signal.SIGKILL)
    again = sentient("resume", "killed", env=model)
    assert (again.returncode, again.stdout) == (5, asked.stdout)
    refused = sentient("resume", "killed", "--answer", '{"answer": "retry", "attempts": 99}')
    assert (refused.returncode, "attempts: " in refused.stderr) == (2, True)
    answered(sentient, "killed", model)
