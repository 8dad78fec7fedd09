"""`langgraph dev` from langgraph.json: starts offline, and runs the graph over the SDK."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from langgraph_sdk import get_client
from samples import ROOT, Repo

LANGGRAPH = str(Path(sys.executable).with_name("langgraph"))


@pytest.fixture(scope="module")
def server(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The development server, in a copy of the folder that holds nothing but its configuration."""
    folder = tmp_path_factory.mktemp("agent-server")
    configuration = json.loads((ROOT / "langgraph.json").read_text())
    (folder / "langgraph.json").write_text(json.dumps({**configuration, "dependencies": ["."]}))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [LANGGRAPH, "dev", "--no-browser", "--no-reload", "--port", str(port)]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "SENTIENT_HOME": str(home), "PYTHONPATH": str(ROOT)},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for(port, process, folder / "log")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def wait_for(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(600):
        assert process.poll() is None, log.read_text()
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError(log.read_text())


async def test_agent_server_runs_the_engineering_graph(server: str, repo: Repo) -> None:
    async with get_client(url=server) as client:
        thread = await client.threads.create()
        state = await client.runs.wait(
            thread["thread_id"], "engineering", input={"source": str(repo())}
        )
    assert "__error__" not in state, state
    assert state["report"]["status"] == "verified"


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
