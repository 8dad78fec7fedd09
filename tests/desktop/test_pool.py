"""Desktops booted ahead: nobody sees them, a create takes one, and none outlives its server."""

import asyncio
import os
import signal
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from e2b import AsyncSandbox

from sentient_desktop import Endpoint, ensure_server, stop_server
from sentient_desktop.settings import Settings
from sentient_desktop.state import read_start_time, read_state

SIZE = Settings.pooled


def _pooled(data_dir: Path, template: str = "base") -> dict[str, int]:
    """Return {id: pid 1 on the host} of the booted members, as the registry has them."""
    query = "SELECT id, init_pid FROM desktops WHERE state = 'pooled' AND template = ?"
    with closing(sqlite3.connect(data_dir / "registry.db")) as connection:
        return dict(connection.execute(query + " AND init_pid > 0", [template]))


def _wait_until_full(data_dir: Path, template: str = "base") -> dict[str, int]:
    deadline = time.monotonic() + 20
    while len(found := _pooled(data_dir, template)) < SIZE:
        assert time.monotonic() < deadline, f"the pool has {found}"
        time.sleep(0.02)
    time.sleep(0.05)  # the last member's row is a moment older than its place in the pool
    return found


def _wait_until_gone(pids: Any) -> None:
    deadline = time.monotonic() + 20
    while any(read_start_time(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.02)


async def test_create_takes_a_member_and_the_pool_fills_up_again(
    create: Any, server: Endpoint, data_dir: Path, options: dict[str, Any]
) -> None:
    assert server
    before = _wait_until_full(data_dir)
    desktop = await create("base", timeout=77, metadata={"whose": "mine"}, envs={"COLOUR": "red"})
    assert desktop.sandbox_id in before
    info = await desktop.get_info()
    assert info.metadata == {"whose": "mine"}
    assert datetime.now(UTC) - info.started_at < timedelta(seconds=10)
    assert timedelta(seconds=60) < info.end_at - datetime.now(UTC) <= timedelta(seconds=77)
    assert (await desktop.commands.run("echo $COLOUR; ls -A ~")).stdout == "red\n.profile\n"
    after = _wait_until_full(data_dir)
    assert desktop.sandbox_id not in after
    listed = await AsyncSandbox.list(**options).next_items()
    assert not after.keys() & {info.sandbox_id for info in listed}


async def test_members_differ_in_everything_that_is_secret(create: Any, data_dir: Path) -> None:
    _wait_until_full(data_dir)
    one, two = await asyncio.gather(create("base"), create("base"))
    assert one.sandbox_id != two.sandbox_id
    tokens = {desktop.connection_config.sandbox_headers["X-Access-Token"] for desktop in (one, two)}
    assert len(tokens) == 2
    await one.files.write("mine", "1")
    assert not await two.files.exists("mine")


async def test_member_that_died_is_not_given_away(create: Any, data_dir: Path) -> None:
    members = _wait_until_full(data_dir)
    for pid in members.values():
        os.kill(pid, signal.SIGKILL)
    _wait_until_gone(members.values())
    desktop = await create("base")
    assert desktop.sandbox_id not in members
    assert (await desktop.commands.run("echo whole")).stdout == "whole\n"


async def test_template_is_pooled_once_it_was_used(create: Any, data_dir: Path) -> None:
    await create("code-interpreter-v1")
    members = _wait_until_full(data_dir, "code-interpreter-v1")
    desktop = await create("code-interpreter-v1")
    assert desktop.sandbox_id in members
    assert (await desktop.get_info()).template_id == "code-interpreter-v1"


def test_no_member_outlives_a_server_that_stops_or_is_killed(folder: Path) -> None:
    ensure_server(folder)
    stopped = _wait_until_full(folder)
    stop_server(folder)
    assert not list((folder / "desktops").iterdir())
    ensure_server(folder)
    assert not stopped.keys() & _wait_until_full(folder).keys()
    killed = _wait_until_full(folder)
    pid = read_state(folder)["pid"]
    os.kill(pid, signal.SIGKILL)
    _wait_until_gone([pid, *killed.values()])
    ensure_server(folder)
    left = {path.name for path in (folder / "desktops").iterdir()}
    assert not killed.keys() & left


@pytest.mark.long
async def test_registry_that_refuses_for_a_while_ends_neither_the_pool_nor_a_kill(
    folder: Path, options_for: Any
) -> None:
    options = options_for(ensure_server(folder))
    _wait_until_full(folder)
    desktop = await AsyncSandbox.create("base", timeout=1, **options)
    with closing(sqlite3.connect(folder / "registry.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        await asyncio.sleep(7)  # SQLite waits 5 s; then making a member and the kill have failed
        other.execute("ROLLBACK")
    _wait_until_full(folder)
    assert desktop.sandbox_id not in {info.sandbox_id for info in await _listed(options)}
    stop_server(folder)
    assert list((folder / "desktops").iterdir()) == []


async def _listed(options: dict[str, Any]) -> list[Any]:
    return await AsyncSandbox.list(**options).next_items()
