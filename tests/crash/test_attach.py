"""kill -9 of the graph's process while a command runs: its successor waits for that command."""

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from homes import own_home
from samples import MAIN, Repo
from scripted_model import Script, call, scripted_model

from checkpoints.sqlite import open_saver
from graphs.engineering import make_graph
from nodes.candidates import APPROACHES
from nodes.desktops import OWNER, ROLE
from tools.connection import Connection
from tools.desktop import Desktop, list_desktops
from tools.errors import SentientError
from tools.journal import JOURNALS
from tools.settings import Settings

SLOW = call("shell", command="date >> ../starts; sleep 5; echo '# once' >> calc.py")
STARTS = call("shell", command="wc -l < ../starts")
GOOD = call("replace", path="calc.py", old="(len(values) + 1)", new="len(values)")
CODER = [SLOW, STARTS, GOOD, call("hand_in", summary="done")]

SLOW_TEST = """
import time
from calc import mean

def test_mean():
    time.sleep(0.2)
    assert mean([1, 2, 3]) == 2
"""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A home of its own, because its server is killed, and a scripted model."""
    with own_home(tmp_path_factory, "attach") as home, scripted_model(Script(coder=CODER)) as url:
        yield Settings(home=home, model="scripted", openai_base_url=url, repair_budget_s=30)


class Run:
    """A thread whose first process is killed when a call of its journal has begun."""

    def __init__(self, settings: Settings, thread: str) -> None:
        self.settings, self.thread = settings, thread

    async def killed_in(self, begun: str, arguments: list[str], role: str = "work") -> None:
        process = subprocess.Popen(
            [*MAIN, *arguments],
            env={
                **os.environ,
                "SENTIENT_HOME": str(self.settings.home),
                "SENTIENT_MODEL": self.settings.model,
                "SENTIENT_REPAIR_BUDGET_S": str(self.settings.repair_budget_s),
                "OPENAI_BASE_URL": self.settings.openai_base_url or "",
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            while not await self._has_begun(begun, role):
                assert process.poll() is None
                await asyncio.sleep(0.1)
        finally:
            process.kill()
            process.wait()

    async def _has_begun(self, begun: str, role: str) -> bool:
        connection = Connection(self.settings)
        try:
            mine = {OWNER: self.thread, ROLE: role}
            found = [d async for d in list_desktops(connection, mine)]
            desktop = await Desktop.connect(found[0], connection=connection)
            done = await desktop.exec(f"ls {JOURNALS}/{begun}/intent.*")
        except (SentientError, IndexError):
            return False
        return done.ok

    async def resumed(self) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """The events of a resume in this process, and the state it ends with."""
        config = {"configurable": {"thread_id": self.thread}}
        async with open_saver(self.settings.home / "checkpoints.db") as saver:
            graph = make_graph(saver, self.settings)
            stream = graph.astream(None, config, stream_mode="custom")
            events = [event async for event in stream]
            return events, (await graph.aget_state(config)).values


@pytest.fixture
def run(settings: Settings, request: pytest.FixtureRequest) -> Run:
    return Run(settings, request.node.name)


def answers(state: dict[str, Any]) -> list[str]:
    return [str(message.text) for message in state["messages"] if message.type == "tool"]


def restored(events: list[dict[str, Any]]) -> list[str]:
    return [event["reason"] for event in events if event["event"] == "restored"]


@pytest.mark.long
async def test_process_killed_while_a_command_runs_is_succeeded_without_running_it_again(
    run: Run, repo: Repo
) -> None:
    arguments = ["fix", str(repo()), "--thread", run.thread]
    await run.killed_in("*-act-*/000", arguments)
    await run.killed_in("*-act-*/000", ["resume", run.thread])  # and once more, while it waits
    events, state = await run.resumed()
    assert restored(events) == []
    assert answers(state)[:2] == ["\n[exit code 0]", "1\n\n[exit code 0]"]
    assert state["report"]["status"] == "verified"
    assert {"path": "calc.py", "status": "M", "added": 2, "removed": 1} in state["report"]["files"]


@pytest.mark.long
async def test_process_killed_in_the_second_candidate_is_succeeded_in_both(
    settings: Settings, repo: Repo, request: pytest.FixtureRequest
) -> None:
    script = Script(coder=CODER[2:], coders={APPROACHES[1]: CODER})
    with scripted_model(script) as url:
        run = Run(settings.model_copy(update={"openai_base_url": url}), request.node.name)
        arguments = ["fix", str(repo()), "--thread", run.thread, "--candidates", "2"]
        await run.killed_in("*-act-*/000", arguments, role="work-2")
        await run.killed_in("*-act-*/000", ["resume", run.thread], role="work-2")
        events, state = await run.resumed()
    told = [event["text"] for event in events if event["event"] == "answer"]
    assert restored([event for event in events if event["candidate"] == 2]) == []
    assert "1\n\n[exit code 0]" in told, "the command of the second candidate ran once"
    report = state["report"]
    assert [(r["candidate"], r["passed"], r["lines"]) for r in report["candidates"]] == [
        (1, True, 2),
        (2, True, 3),
    ]
    assert report["status"] == "verified"
    left = [d async for d in list_desktops(Connection(settings), {OWNER: run.thread})]
    assert left == []


@pytest.mark.long
async def test_server_killed_while_a_command_runs_has_its_files_restored(
    run: Run, repo: Repo
) -> None:
    await run.killed_in("*-act-*/000", ["fix", str(repo()), "--thread", run.thread])
    server = json.loads((run.settings.home / "desktop/server.json").read_text())
    os.kill(server["pid"], signal.SIGKILL)
    events, state = await run.resumed()
    assert len(restored(events)) == 1
    assert answers(state)[:2] == ["\n[exit code 0]", "1\n\n[exit code 0]"]
    assert {"path": "calc.py", "status": "M", "added": 2, "removed": 1} in state["report"]["files"]


@pytest.mark.long
async def test_process_killed_while_the_engine_searches_is_succeeded_without_a_new_search(
    settings: Settings, repo: Repo, request: pytest.FixtureRequest
) -> None:
    offline = settings.model_copy(update={"model": "none", "openai_base_url": None})
    run = Run(offline, request.node.name)
    source = repo({"calc.py": CALC, "test_calc.py": SLOW_TEST})
    await run.killed_in("*-coder-*/search", ["fix", str(source), "--thread", run.thread])
    events, state = await run.resumed()
    assert restored(events) == []
    [searched] = [event for event in events if event["event"] == "searched"]
    assert searched["status"] == "fixed"
    assert state["report"]["status"] == "verified"


CALC = "def mean(values):\n    return sum(values) / (len(values) + 1)\n"
