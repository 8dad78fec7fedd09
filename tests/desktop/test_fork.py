"""Forks: the parent's disk at one instant, nothing of its processes, and each its own from then."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import e2b
import httpx
import pytest
from e2b import AsyncSandbox

from sentient_desktop import Endpoint, ensure_server, stop_server


async def _fork(desktop: AsyncSandbox, **choices: Any) -> list[AsyncSandbox]:
    forks = await desktop.fork(**choices)
    assert all(isinstance(fork, AsyncSandbox) for fork in forks), forks
    return forks  # type: ignore[return-value]


async def test_fork_starts_from_the_disk_and_goes_its_own_way(desktop: AsyncSandbox) -> None:
    await desktop.commands.run("echo before > state; mkdir -m 000 locked; rm .profile")
    one, two = await _fork(desktop, count=2, timeout=60)
    try:
        assert len({one.sandbox_id, two.sandbox_id, desktop.sandbox_id}) == 3
        await asyncio.gather(
            one.commands.run("echo one > state"), desktop.files.write("state", "parent")
        )
        assert await two.files.read("state") == "before\n"
        assert (await two.commands.run("stat -c %a,%U locked; ls .profile || true")).stdout == (
            "0,user\n"
        )
        assert await one.files.read("state") == "one\n"
        assert await desktop.files.read("state") == "parent"
    finally:
        assert await one.kill()
        assert await two.kill()


async def test_fork_takes_choices_over_and_leaves_processes_behind(create: Any) -> None:
    desktop = await create(envs={"COLOUR": "red"}, metadata={"whose": "mine"}, timeout=600)
    handle = await desktop.commands.run("sleep 1000", background=True)
    (fork,) = await _fork(desktop)
    try:
        info = await fork.get_info()
        assert info.metadata == {"whose": "mine"}
        assert (info.end_at - info.started_at).total_seconds() == pytest.approx(15)
        assert (await fork.commands.run("echo $COLOUR")).stdout == "red\n"
        assert await fork.commands.list() == []
        token = fork.connection_config.sandbox_headers["X-Access-Token"]
        assert token != desktop.connection_config.sandbox_headers["X-Access-Token"]
        assert [process.pid for process in await desktop.commands.list()] == [handle.pid]
    finally:
        assert await fork.kill()
        assert await handle.kill()


async def test_fork_of_a_fork_and_of_a_paused_desktop_work(desktop: AsyncSandbox) -> None:
    await desktop.files.write("one", "1")
    (child,) = await _fork(desktop, timeout=60)
    await child.files.write("two", "2")
    await child.pause()
    (grandchild,) = await _fork(child, timeout=60)
    try:
        assert await child.kill()
        assert await grandchild.files.read("one") == "1"
        assert await grandchild.files.read("two") == "2"
    finally:
        assert await grandchild.kill()


async def test_layers_of_forks_go_with_the_last_of_them(
    desktop: AsyncSandbox, data_dir: Path
) -> None:
    before = set((data_dir / "layers").iterdir())
    forks = await _fork(desktop, count=3, timeout=60)
    assert len(set((data_dir / "layers").iterdir()) - before) == 1
    for fork in forks[1:]:
        assert await fork.kill()
    assert len(set((data_dir / "layers").iterdir()) - before) == 1
    assert await forks[0].kill()
    assert set((data_dir / "layers").iterdir()) == before


async def test_fork_of_a_killed_desktop_is_not_found(create: Any) -> None:
    desktop = await create()
    await desktop.kill()
    with pytest.raises(e2b.SandboxNotFoundException):
        await desktop.fork()


@pytest.mark.parametrize("count", [0, 21, "2", True, 1.5], ids=repr)
async def test_fork_with_a_wrong_count_is_refused_with_the_bounds(
    desktop: AsyncSandbox, server: Endpoint, count: Any
) -> None:
    async with httpx.AsyncClient() as client:
        answer = await client.post(
            f"{server.url}/sandboxes/{desktop.sandbox_id}/fork",
            headers={"X-API-KEY": server.api_key},
            json={"count": count},
        )
    assert answer.status_code == 400
    assert "1 to 20" in answer.json()["message"]


async def test_forks_killed_while_they_are_made_leave_nothing(
    folder: Path, options_for: Any
) -> None:
    options = options_for(ensure_server(folder))
    parent = await AsyncSandbox.create("base", **options)
    forking = asyncio.create_task(parent.fork(count=4))
    killed: set[str] = set()
    while not forking.done() or len(killed) < 4:
        for info in await AsyncSandbox.list(**options).next_items():
            if info.sandbox_id != parent.sandbox_id:
                await AsyncSandbox.kill(info.sandbox_id, **options)
                killed.add(info.sandbox_id)
    await forking
    with closing(sqlite3.connect(folder / "registry.db")) as connection:
        rows = connection.execute("SELECT id FROM desktops WHERE state != 'pooled'").fetchall()
    assert rows == [(parent.sandbox_id,)]
    await parent.kill()
    stop_server(folder)
    assert list((folder / "desktops").iterdir()) == []
