"""Desktops nobody uses stand still until somebody does, and end when their time is up."""

import asyncio
from pathlib import Path
from typing import Any

import e2b
import httpx
import pytest
from e2b import AsyncSandbox

from sentient_desktop import ensure_server

COUNT = "i=0; while :; do i=$((i+1)); echo $i > tmp; mv tmp count; sleep 0.01; done"


@pytest.fixture
def idling(folder: Path, options_for: Any) -> dict[str, Any]:
    """Options of a server where idleness begins after a second."""
    return dict(options_for(ensure_server(folder, ["--idle-s", "1"])))


async def listed_state(desktop: AsyncSandbox, options: dict[str, Any]) -> str:
    """Look without using the desktop."""
    for info in await AsyncSandbox.list(**options).next_items():
        if info.sandbox_id == desktop.sandbox_id:
            return str(info.state.value)
    return "gone"


async def until_suspended(desktop: AsyncSandbox, options: dict[str, Any]) -> None:
    while await listed_state(desktop, options) != "paused":
        await asyncio.sleep(0.1)


async def test_unused_desktop_stands_still_and_goes_on_when_used(idling: dict[str, Any]) -> None:
    desktop = await AsyncSandbox.create("base", timeout=600, **idling)
    end_at = (await desktop.get_info()).end_at
    counter = await desktop.commands.run(f"({COUNT}) > /dev/null 2>&1 & echo $!")
    await until_suspended(desktop, idling)
    assert (await desktop.get_info()).end_at == end_at
    before = int(await desktop.files.read("count"))
    assert await listed_state(desktop, idling) == "running"
    pid = counter.stdout.strip()
    assert (await desktop.commands.run(f"kill -0 {pid} && echo alive")).stdout == "alive\n"
    await asyncio.sleep(0.1)
    assert int(await desktop.files.read("count")) > before
    assert (await desktop.get_info()).end_at == end_at


async def test_signed_url_wakes_a_suspended_desktop(idling: dict[str, Any]) -> None:
    desktop = await AsyncSandbox.create("base", **idling)
    await desktop.files.write("f", "content")
    url = desktop.download_url("f", use_signature_expiration=100)
    await until_suspended(desktop, idling)
    async with httpx.AsyncClient(base_url=idling["api_url"]) as client:
        answer = await client.get("/files?" + url.partition("?")[2])
    assert answer.text == "content"


async def test_connected_client_keeps_a_desktop_awake(idling: dict[str, Any]) -> None:
    watched, unused = [await AsyncSandbox.create("base", **idling) for _ in range(2)]
    handle = await watched.commands.run("sleep 1000", background=True)
    await until_suspended(unused, idling)
    await asyncio.sleep(1)
    assert await listed_state(watched, idling) == "running"
    await handle.kill()


@pytest.mark.long
async def test_suspended_desktop_ends_when_its_time_is_up(idling: dict[str, Any]) -> None:
    killed = await AsyncSandbox.create("base", timeout=4, **idling)
    kept = await AsyncSandbox.create("base", timeout=4, lifecycle={"on_timeout": "pause"}, **idling)
    await until_suspended(killed, idling)
    while await listed_state(killed, idling) != "gone":
        await asyncio.sleep(0.1)
    assert await listed_state(kept, idling) == "paused"
    while await kept.is_running():  # until its own time is up, too
        await asyncio.sleep(0.1)
    with pytest.raises(e2b.SandboxNotRunningException):
        await kept.commands.run("true")


@pytest.mark.long
async def test_client_may_pause_what_is_suspended_already(idling: dict[str, Any]) -> None:
    desktop = await AsyncSandbox.create("base", **idling)
    await until_suspended(desktop, idling)
    assert await desktop.pause()
    assert not await desktop.is_running()
    await desktop.connect()
    assert (await desktop.commands.run("echo on")).stdout == "on\n"
