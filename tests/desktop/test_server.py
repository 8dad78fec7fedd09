"""The server as a process: one per folder, found again, killed hard, cleaning up after itself."""

import asyncio
import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from e2b import AsyncSandbox, CommandExitException
from e2b.exceptions import SandboxException

from sentient_desktop import LaunchError, ensure_server, find_server, stop_server
from sentient_desktop.sandbox.freeze import walk_tree
from sentient_desktop.state import read_start_time
from sentient_desktop.store.trees import remove_tree


def test_ensure_called_at_once_by_many_gives_one_server(folder: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        endpoints = list(pool.map(ensure_server, [folder] * 8))
    assert len(set(endpoints)) == 1


def test_state_and_folder_are_private(folder: Path) -> None:
    ensure_server(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "server.json").stat().st_mode) == 0o600
    key = json.loads((folder / "server.json").read_text())["api_key"]
    assert key.startswith("e2b_")
    assert len(key) == 44
    assert key not in (folder / "server.log").read_text()


@pytest.mark.long
def test_stop_ends_it_and_ensure_finds_the_same_address_again(folder: Path) -> None:
    first = ensure_server(folder)
    assert stop_server(folder)
    assert not stop_server(folder)
    assert find_server(folder) is None
    assert ensure_server(folder) == first


@pytest.mark.long
def test_second_server_on_the_same_folder_is_refused(folder: Path) -> None:
    ensure_server(folder)
    command = [sys.executable, "-m", "sentient_desktop", "serve", "--data-dir", str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert result.returncode == 1
    assert "another desktop server is using" in result.stderr


def test_port_taken_is_said_in_one_line(folder: Path, tmp_path: Path) -> None:
    port = ensure_server(folder).url.rpartition(":")[2]
    command = [sys.executable, "-m", "sentient_desktop", "serve", "--data-dir", str(tmp_path / "b")]
    result = subprocess.run(
        [*command, "--port", port], capture_output=True, text=True, timeout=30, check=False
    )
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "cannot listen on" in result.stderr


def test_server_that_cannot_start_is_reported_with_its_last_line(tmp_path: Path) -> None:
    blocked = tmp_path / "data"
    blocked.mkdir()
    (blocked / "registry.db").mkdir()
    with pytest.raises(LaunchError, match=r"did not start: .*unable to open database"):
        ensure_server(blocked)


Starts = dict[int, int | None]
"""Start times of processes by pid, which say whether a pid is still the same process."""


def alive(starts: Starts) -> list[int]:
    return [pid for pid, start in starts.items() if read_start_time(pid) == start]


def is_stray(pid: int, folder: Path, family: Starts) -> bool:
    """Whether it is what a jail that was just starting may leave until the next start.

    That is bubblewrap's child, its parent dead, before it runs anything else.
    """
    with suppress(OSError):
        process = Path(f"/proc/{pid}")
        stat = (process / "stat").read_text()
        parent = int(stat.rpartition(")")[2].split()[1])
        ours = (process / "fd/2").readlink().is_relative_to(folder)
        return ours and (process / "comm").read_text() == "bwrap\n" and parent not in family
    return False


async def test_server_killed_hard_loses_nothing_acknowledged(
    folder: Path, options_for: Any
) -> None:
    options = options_for(ensure_server(folder))
    running, paused = [await AsyncSandbox.create("base", **options) for _ in range(2)]
    handle = await running.commands.run("sleep 1000", background=True)
    for number in range(20):
        await running.files.write(f"file-{number}", str(number))
    await running.commands.run("rm .profile; echo log >> /var/tmp/log")
    await paused.files.write("kept", "yes")
    snapshot = await running.create_snapshot(mode="filesystem")
    await paused.pause()
    found = find_server(folder)
    assert found
    family = walk_tree(found[1])
    starts = {pid: read_start_time(pid) for pid in family}
    os.kill(found[1], signal.SIGKILL)
    async with asyncio.timeout(10):
        while [pid for pid in alive(starts) if not is_stray(pid, folder, starts)]:
            await asyncio.sleep(0.02)
    await handle.disconnect()

    assert options_for(ensure_server(folder)) == options
    assert not alive(starts)
    contents = [await running.files.read(f"file-{number}") for number in range(20)]
    assert contents == [str(number) for number in range(20)]
    assert not await running.files.exists(".profile")
    assert await running.files.read("/var/tmp/log") == "log\n"
    assert await running.commands.list() == []
    assert (await running.get_info()).state.value == "running"
    assert (await paused.get_info()).state.value == "paused"
    await paused.connect()
    assert await paused.files.read("kept") == "yes"
    copy = await AsyncSandbox.create(snapshot.snapshot_id, **options)
    assert await copy.files.read("file-7") == "7"


async def test_stopped_server_leaves_no_process_and_keeps_desktops(
    folder: Path, options_for: Any
) -> None:
    options = options_for(ensure_server(folder))
    desktop = await AsyncSandbox.create("base", **options)
    await desktop.files.write("f", "x")
    found = find_server(folder)
    assert found
    starts = {pid: read_start_time(pid) for pid in walk_tree(found[1])}
    assert len(starts) >= 4
    stop_server(folder)
    while [pid for pid, start in starts.items() if read_start_time(pid) == start]:
        await asyncio.sleep(0.05)  # init reaps in its own time; the test's time limit is the bound
    ensure_server(folder)
    assert await desktop.files.read("f") == "x"


async def test_killed_desktop_leaves_nothing_on_disk(folder: Path, options_for: Any) -> None:
    options = options_for(ensure_server(folder))
    desktop = await AsyncSandbox.create("base", **options)
    await desktop.commands.run("mkdir -p a/b; touch a/b/c; chmod 000 a/b a")
    home = folder / "desktops" / desktop.sandbox_id
    assert home.is_dir()
    await desktop.kill()
    assert not home.exists()
    stop_server(folder)  # with the desktops of its pool
    assert list((folder / "desktops").iterdir()) == []


async def test_sweep_at_start_removes_what_nobody_owns(folder: Path) -> None:
    ensure_server(folder)
    stop_server(folder)
    (folder / "desktops/i0000").mkdir()
    (folder / "layers/abc.unfinished").mkdir()
    (folder / "layers/orphan").mkdir()
    (folder / "probe/upper").mkdir(parents=True)
    (folder / "server.json.unfinished").write_text("{")
    ensure_server(folder)
    assert not {"probe", "server.json.unfinished"} & {path.name for path in folder.iterdir()}
    stop_server(folder)  # with the desktops of its pool
    assert list((folder / "desktops").iterdir()) == []
    assert list((folder / "layers").iterdir()) == []


@pytest.mark.long
async def test_snapshot_whose_layer_was_given_up_is_forgotten_at_start(
    folder: Path, options_for: Any
) -> None:
    """A commit that SQLite reports as failed may be in its log all the same."""
    options = options_for(ensure_server(folder))
    desktop = await AsyncSandbox.create("base", **options)
    await desktop.create_snapshot(mode="filesystem")
    stop_server(folder)
    (layer,) = (folder / "layers").iterdir()
    remove_tree(layer)
    ensure_server(folder)
    assert await AsyncSandbox.list_snapshots(**options).next_items() == []
    assert (await desktop.commands.run("echo whole")).stdout == "whole\n"


@pytest.mark.long
async def test_snapshot_that_lacks_a_lower_layer_is_damage_and_not_forgotten_at_start(
    folder: Path, options_for: Any
) -> None:
    options = options_for(ensure_server(folder))
    desktop = await AsyncSandbox.create("base", **options)
    await desktop.create_snapshot(mode="filesystem")
    (layer,) = (folder / "layers").iterdir()
    later = await desktop.create_snapshot(mode="filesystem")
    stop_server(folder)
    remove_tree(layer)
    ensure_server(folder)
    (left,) = await AsyncSandbox.list_snapshots(**options).next_items()
    assert left.snapshot_id == later.snapshot_id
    assert f"it lacks {layer.name}" in (folder / "server.jsonl").read_text()


async def test_addresses_are_routed_as_e2b_does(folder: Path, options_for: Any) -> None:
    endpoint = ensure_server(folder)
    desktop = await AsyncSandbox.create("base", **options_for(endpoint))
    key = {"X-API-KEY": endpoint.api_key}

    def aimed(port: int, desktop_id: str = desktop.sandbox_id) -> dict[str, str]:
        return {"E2b-Sandbox-Id": desktop_id, "E2b-Sandbox-Port": str(port)}

    async with httpx.AsyncClient(base_url=endpoint.url) as client:
        by_host = {"Host": f"49983-{desktop.sandbox_id}.localhost"}
        assert (await client.get("/health", headers=by_host)).status_code == 204
        assert (await client.get("/health", headers=aimed(49983))).status_code == 204
        half = {"E2b-Sandbox-Id": desktop.sandbox_id}
        assert (await client.get("/health", headers=half)).status_code == 400
        closed = await client.get("/", headers=aimed(3000))
        assert (closed.status_code, closed.json()["code"]) == (502, 502)
        assert "port is not open" in closed.json()["message"]
        gone = await client.get("/health", headers=aimed(49983, "i0"))
        assert gone.status_code == 502
        assert "was not found" in gone.json()["message"]
        interpreter = await client.post("/execute", headers=aimed(49999), json={"code": "1"})
        assert (interpreter.status_code, "access token" in interpreter.text) == (401, True)
        assert (await client.get("/v2/sandboxes")).status_code == 401
        old, new = [await client.get(p + "/sandboxes", headers=key) for p in ("", "/v2")]
        assert old.json() == new.json()
        assert len(old.json()) == 1
        assert (await client.get("/volumes", headers=key)).status_code == 501
        unknown = await client.get("/nothing", headers=key)
        assert (unknown.status_code, unknown.json()["code"]) == (404, 404)
        for body in ("[]", "{", '{"timeout": -1, "templateID": "base"}', "{}"):
            answer = await client.post("/v2/sandboxes", headers=key, content=body)
            assert answer.status_code == 400, body
        short = await client.post(f"/sandboxes/{desktop.sandbox_id}/timeout", headers=key)
        assert short.status_code == 400


@pytest.mark.long
async def test_guest_killing_everything_it_sees_only_ends_itself(
    folder: Path, options_for: Any
) -> None:
    desktop = await AsyncSandbox.create("base", **options_for(ensure_server(folder)))
    bystander = await desktop.commands.run("sleep 100", background=True)
    await desktop.commands.run("kill -9 1; kill -9 -1; true")
    with pytest.raises(CommandExitException):
        await bystander.wait()
    assert (await desktop.commands.run("echo fine")).stdout == "fine\n"


async def test_spawner_killed_leaves_a_server_that_answers_and_stops(
    folder: Path, options_for: Any
) -> None:
    options = options_for(ensure_server(folder))
    desktop = await AsyncSandbox.create("base", **options)
    with closing(sqlite3.connect(folder / "registry.db")) as connection:
        query = "SELECT monitor_pid FROM desktops WHERE id = ?"
        (monitor,) = connection.execute(query, [desktop.sandbox_id]).fetchone()
    status = Path(f"/proc/{monitor}/stat").read_text()
    os.kill(int(status.rpartition(")")[2].split()[1]), signal.SIGKILL)
    assert await desktop.kill(request_timeout=30)
    with pytest.raises(SandboxException, match="the process that starts desktops is gone"):
        await AsyncSandbox.create("base", **options)
    stop_server(folder)
    assert list((folder / "desktops").iterdir()) == []
