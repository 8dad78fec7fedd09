"""`langgraph dev` from langgraph.json: starts offline, and runs the graph over the SDK."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from desktops import kill_desktops
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient
from milestones import CALCULATOR_MILESTONES, milestones
from samples import CALC, CALCULATOR, ROOT, Repo

from checkpoints.ledger import Ledger
from nodes.desktops import OWNER
from tools.connection import Connection
from tools.desktop import Desktop, list_desktops
from tools.layout import REPO
from tools.settings import Settings

LANGGRAPH = str(Path(sys.executable).with_name("langgraph"))


Server = tuple["subprocess.Popen[bytes]", str]


def start_server(folder: Path, home: Path) -> Server:
    """The development server, in a folder that holds nothing but its configuration."""
    configuration = json.loads((ROOT / "langgraph.json").read_text())
    (folder / "langgraph.json").write_text(json.dumps({**configuration, "dependencies": ["."]}))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [LANGGRAPH, "dev", "--no-browser", "--no-reload", "--port", str(port)]
    with (folder / "log").open("a") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "SENTIENT_HOME": str(home), "PYTHONPATH": str(ROOT)},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for(port, process, folder / "log")
    except BaseException:
        stop(process)
        raise
    return process, f"http://127.0.0.1:{port}"


def stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


@pytest.fixture(scope="module")
def server(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    process, url = start_server(tmp_path_factory.mktemp("agent-server"), home)
    try:
        yield url
    finally:
        stop(process)


def wait_for(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(600):
        assert process.poll() is None, log.read_text()
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError(log.read_text())


@pytest.mark.long
async def test_agent_server_question_bad_answer_leaves_it_to_be_answered(
    server: str, repo: Repo
) -> None:
    async with get_client(url=server) as client:
        thread = (await client.threads.create())["thread_id"]
        given = {"source": str(repo()), "approve": True}
        await client.runs.wait(thread, "engineering", input=given)
        wrong = await client.runs.wait(
            thread, "engineering", command={"resume": {"answer": "perhaps"}}, raise_error=False
        )
        assert wrong["__error__"]["error"] == "ValidationError", wrong
        [asked] = (await client.threads.get_state(thread))["interrupts"]
        assert asked["value"]["kind"] == "plan"
        right = {"resume": {"answer": "reject"}}
        state = await client.runs.wait(thread, "engineering", command=right)
    assert state["report"]["summary"] == "the plan was rejected"


@pytest.mark.long
async def test_agent_server_ended_in_a_step_goes_on_when_it_is_back(
    home: Path, repo: Repo, tmp_path: Path
) -> None:
    slow = "import time\n\n\ndef test_slow():\n    time.sleep(6)\n"
    source = repo({**CALCULATOR, "test_slow.py": slow})
    process, url = start_server(tmp_path, home)
    try:
        async with get_client(url=url) as client:
            thread = (await client.threads.create())["thread_id"]
            await client.runs.create(thread, "engineering", input={"source": str(source)})
            await reach(client, thread, ["planner"])
            await asyncio.sleep(1)
    finally:
        stop(process)
    process, url = start_server(tmp_path, home)
    try:
        async with get_client(url=url) as client:
            await reach(client, thread, [])
            state = await client.threads.get_state(thread)
    finally:
        stop(process)
    assert state["values"]["report"]["status"] == "verified"


async def reach(client: LangGraphClient, thread: str, following: list[str]) -> None:
    """Wait until the thread's next nodes are these."""
    for _ in range(900):
        state = await client.threads.get_state(thread)
        if state["values"] and state["next"] == following:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(state)


@pytest.fixture
async def stopped_threads(settings: Settings) -> AsyncIterator[list[str]]:
    """Names of threads that are left before their end, each with a desktop to be killed."""
    threads: list[str] = []
    yield threads
    killed = [await kill_desktops(Connection(settings), {OWNER: thread}) for thread in threads]
    assert killed == [1] * len(threads)


async def test_agent_server_runs_the_engineering_graph_and_travels_to_the_files_of_each_checkpoint(
    server: str, repo: Repo, settings: Settings, stopped_threads: list[str]
) -> None:
    """What LangGraph Studio calls to run again from a checkpoint, to edit one, to copy a thread."""
    wait = {"interrupt_after": ["act"]}
    async with get_client(url=server) as client:
        thread = (await client.threads.create())["thread_id"]
        told, done = [], {}
        async for part in client.runs.stream(
            thread, "engineering", input={"source": str(repo())}, stream_mode=["custom", "values"]
        ):
            assert part.event in ("metadata", "custom", "values"), part
            told += [part.data] if part.event == "custom" else []
            done = part.data if part.event == "values" else done
        assert milestones(told) == CALCULATOR_MILESTONES
        assert done["report"]["status"] == "verified"
        expect_saved(settings, thread)
        stopped_threads.append(thread)
        history = await client.threads.get_history(thread, limit=50)
        [act] = [state for state in history if state["next"] == ["act"]]
        at = act["checkpoint"]
        state = await client.runs.wait(thread, "engineering", input=None, checkpoint=at, **wait)
        repaired = await file_of(settings, thread)
        assert repaired != CALC
        assert not state["messages"][-1]["content"].startswith("error")

        decision = {**act["values"]["messages"][-1], "tool_calls": [OTHER]}
        edited = await client.threads.update_state(
            thread, {"messages": [decision]}, as_node="coder", checkpoint=at
        )
        await client.runs.wait(
            thread, "engineering", input=None, checkpoint=edited["checkpoint"], **wait
        )
        assert await file_of(settings, thread) == f"{CALC}# studio\n"

        copied = (await client.threads.copy(thread))["thread_id"]
        stopped_threads.append(copied)
        await client.runs.wait(copied, "engineering", input=None, checkpoint=at, **wait)
        assert await file_of(settings, copied) == repaired
        assert await file_of(settings, thread) == f"{CALC}# studio\n"


def expect_saved(settings: Settings, thread: str) -> None:
    """The thread has a saver, so the sweep must not take it for a run without."""
    ledger = Ledger(settings.home / "ledger.db")
    row = ledger.thread(thread)
    ledger.close()
    assert row is not None
    assert row["saver"] is None


OTHER = {
    "name": "shell",
    "args": {"command": "echo '# studio' >> calc.py"},
    "id": "studio",
    "type": "tool_call",
}


async def file_of(settings: Settings, thread: str) -> str:
    connection = Connection(settings)
    [found] = [desktop async for desktop in list_desktops(connection, {OWNER: thread})]
    desktop = await Desktop.connect(found, connection=connection)
    return await desktop.fs.read_file(f"{REPO}/calc.py")


async def test_agent_server_runs_the_snippet_graph(server: str) -> None:
    given = {"language": "python", "script": "print(2 ** 10)"}
    async with get_client(url=server) as client:
        state = await client.runs.wait(None, "snippet", input=given)
    assert state["stdout"] == "1024\n"


def test_langgraph_configuration_is_valid_and_gives_a_dockerfile(tmp_path: Path) -> None:
    for command in (["validate"], ["dockerfile", str(tmp_path / "Dockerfile")]):
        done = subprocess.run(
            [LANGGRAPH, *command], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert "graphs.engineering:graph" in (tmp_path / "Dockerfile").read_text()
