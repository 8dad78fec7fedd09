"""Running the server: measurements, logs without secrets, an orderly end."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from e2b import AsyncSandbox, CommandExitException
from e2b.exceptions import SandboxException

from sentient_desktop import Endpoint, ensure_server, stop_server

Serve = Callable[..., tuple[Endpoint, "subprocess.Popen[str]"]]


@pytest.fixture
def serve(folder: Path) -> Iterator[Serve]:
    """Starts servers in the foreground, so that their end can be watched."""
    started: list[subprocess.Popen[str]] = []

    def start(*options: str) -> tuple[Endpoint, "subprocess.Popen[str]"]:
        command = [sys.executable, "-m", "sentient_desktop", "serve", "--data-dir", str(folder)]
        process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout
        return Endpoint(**json.loads(process.stdout.readline())), process

    yield start
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout
        process.stdout.close()


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "server.jsonl").read_text().splitlines()]


async def test_stopped_server_drains_and_exits_with_zero(serve: Serve, options_for: Any) -> None:
    endpoint, process = serve("--grace-s", "2")
    options = options_for(endpoint)
    desktop = await AsyncSandbox.create("base", **options)
    endless = await desktop.commands.run("sleep 1000", background=True)
    short = await desktop.commands.run("sleep 0.7; echo done", background=True)
    process.send_signal(signal.SIGTERM)
    async with httpx.AsyncClient(base_url=endpoint.url) as client:
        key = {"X-API-KEY": endpoint.api_key}
        while (answer := await client.post("/sandboxes", headers=key)).status_code == 400:
            await asyncio.sleep(0.01)  # the signal has not arrived yet
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        fork = f"/sandboxes/{desktop.sandbox_id}/fork"
        assert (await client.post(fork, json={}, headers=key)).status_code == 503
        assert (await client.get("/sandboxes", headers=key)).status_code == 200
    assert (await short.wait()).stdout == "done\n"
    with pytest.raises(SandboxException, match="ended with its desktop's processes"):
        await endless.wait()
    assert await asyncio.to_thread(process.wait, 20) == 0
    serve()
    assert (await desktop.commands.run("echo back")).stdout == "back\n"


async def test_metrics_count_what_happened(folder: Path, options_for: Any) -> None:
    endpoint = ensure_server(folder)
    desktop = await AsyncSandbox.create("base", **options_for(endpoint))
    await desktop.commands.run("true")
    await desktop.create_snapshot(mode="filesystem")
    async with httpx.AsyncClient(base_url=endpoint.url) as client:
        assert (await client.get("/metrics")).status_code == 401
        bearer = {"Authorization": f"Bearer {endpoint.api_key}"}
        text = (await client.get("/metrics", headers=bearer)).text
    found = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert found['sentient_desktops{state="running"}'] == "1.0"
    assert found["sentient_snapshots"] == "1.0"
    for plane, route in (("control", "create"), ("envd", "process.Start")):
        name = f'{{plane="{plane}",route="{route}",status="2xx"}}'
        assert found[f"sentient_request_seconds_count{name}"] == "1.0"
    assert float(found["sentient_layers_bytes"]) > 0
    assert float(found["sentient_disk_free_bytes"]) > 0


async def test_requests_are_logged_with_their_ids(folder: Path, options_for: Any) -> None:
    endpoint = ensure_server(folder)
    desktop = await AsyncSandbox.create("base", **options_for(endpoint))
    async with httpx.AsyncClient(base_url=endpoint.url) as client:
        key = {"X-API-KEY": endpoint.api_key}
        answer = await client.get(f"/sandboxes/{desktop.sandbox_id}", headers=key)
        assert (await client.get("/sandboxes/i0", headers=key)).status_code == 404
    stop_server(folder)
    (line,) = [x for x in lines(folder) if x.get("id") == answer.headers["x-request-id"]]
    assert line["event"] == "request"
    assert (line["route"], line["method"], line["status"]) == ("info", "GET", 200)
    assert line["desktop"] == desktop.sandbox_id
    assert line["ms"] > 0


async def test_secrets_are_in_no_log(folder: Path, options_for: Any) -> None:
    """Canaries in whatever a client sends, failures included, and then a look at all files."""
    endpoint = ensure_server(folder)
    options = options_for(endpoint)
    desktop = await AsyncSandbox.create(
        "base", envs={"K": "canary-env"}, metadata={"m": "canary-meta"}, **options
    )
    await desktop.commands.run("echo canary-command", envs={"V": "canary-variable"})
    with pytest.raises(CommandExitException):
        await desktop.commands.run("echo canary-failure >&2; exit 3")
    await desktop.files.write("notes", "canary-content")
    signed = desktop.download_url("canary-path", use_signature_expiration=100)
    async with httpx.AsyncClient(base_url=endpoint.url) as client:
        for path, body in (("/sandboxes", '{"templateID": "canary-template"'), ("/canary-url", "")):
            headers = {"X-API-KEY": endpoint.api_key, "X-Canary": "canary-header"}
            await client.post(path, headers=headers, content=body)
        await client.get("/sandboxes", headers={"X-API-KEY": "canary-key"})
        await client.get(endpoint.url + "/files?" + signed.partition("?")[2])
    stop_server(folder)
    token = json.loads((folder / "server.json").read_text())["api_key"]
    secrets = [b"canary", token.encode(), b"signature="]
    keepers = {"server.json", "registry.db", "registry.db-wal", "registry.db-shm"}
    searched = [
        path
        for path in folder.rglob("*")
        if path.is_file() and path.name not in keepers and "upper" not in path.parts
        and "templates" not in path.parts
    ]  # fmt: skip
    assert {"server.log", "server.jsonl", "boot.log", "spawner.log"} <= {p.name for p in searched}
    for path in searched:
        text = path.read_bytes()
        assert not [secret for secret in secrets if secret in text], path
    # The canary that must bite: the same look finds what is kept on purpose.
    assert b"canary-env" in b"".join(p.read_bytes() for p in folder.glob("registry.db*"))


@pytest.mark.long
async def test_log_file_is_rotated(folder: Path) -> None:
    (folder / "server.jsonl").write_text("x" * (10 << 20))
    ensure_server(folder)
    stop_server(folder)
    assert (folder / "server.jsonl.1").stat().st_size == 10 << 20
    assert (folder / "server.jsonl").stat().st_size < 10 << 10
