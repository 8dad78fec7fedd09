"""Snapshots: what they hold, whom they isolate, and that deleting them deletes them."""

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import e2b
import pytest
from e2b import AsyncSandbox

from sentient_desktop.store.layers import CHAIN_LIMIT


async def test_snapshot_of_a_running_desktop_restores_its_files(
    create: Any, desktop: AsyncSandbox
) -> None:
    await desktop.commands.run(
        "mkdir -p /workspace/p; echo data > /workspace/p/f; chmod 640 /workspace/p/f;"
        "ln -s f /workspace/p/l; mkfifo /tmp/fifo; echo t > /tmp/t; mkdir -m 000 locked"
    )
    snapshot = await desktop.create_snapshot(mode="filesystem")
    copy = await create(snapshot.snapshot_id)
    result = await copy.commands.run(
        "cat /workspace/p/l /tmp/t; stat -c '%a %U' /workspace/p/f; test -p /tmp/fifo && echo fifo;"
        "stat -c %a locked"
    )
    assert result.stdout == "data\nt\n640 user\nfifo\n0\n"


async def test_forks_of_one_snapshot_do_not_see_each_other(
    create: Any, desktop: AsyncSandbox
) -> None:
    await desktop.files.write("shared", "base")
    snapshot = await desktop.create_snapshot(mode="filesystem")
    one, two = await asyncio.gather(create(snapshot.snapshot_id), create(snapshot.snapshot_id))
    await one.commands.run("echo one > shared; touch only-one; rm .profile")
    await desktop.files.write("shared", "parent went on")
    assert await two.files.read("shared") == "base"
    assert await two.files.exists(".profile")
    assert not await two.files.exists("only-one")
    third = await create(snapshot.snapshot_id)
    assert await third.files.read("shared") == "base"


async def test_deletions_stay_deleted_through_a_chain(create: Any, desktop: AsyncSandbox) -> None:
    await desktop.commands.run("mkdir d; touch d/a d/b gone; mkdir replaced; touch replaced/old")
    first = await desktop.create_snapshot(mode="filesystem")
    middle = await create(first.snapshot_id)
    await middle.commands.run("rm d/a gone; rm -r replaced; mkdir replaced; touch replaced/new")
    second = await middle.create_snapshot(mode="filesystem")
    last = await create(second.snapshot_id)
    result = await last.commands.run("ls d replaced; ls gone 2>/dev/null || echo absent")
    assert result.stdout == "d:\nb\n\nreplaced:\nnew\nabsent\n"


async def test_chain_beyond_the_limit_is_flattened_and_whole(
    create: Any, desktop: AsyncSandbox, data_dir: Path
) -> None:
    current = desktop
    await current.commands.run("mkdir d; touch d/first; echo 0 > all; mkdir -m 000 locked")
    for number in range(CHAIN_LIMIT + 2):
        await current.commands.run(
            f"echo {number} >> all; touch d/{number}; rm -f d/{number - 2}; "
            f"rm -rf x; mkdir x; touch x/{number}"
        )
        snapshot = await current.create_snapshot(mode="filesystem")
        following = await create(snapshot.snapshot_id)
        await current.kill()
        current = following
    result = await current.commands.run("wc -l < all; ls d x")
    last = CHAIN_LIMIT + 1
    assert result.stdout == f"{last + 2}\nd:\n{last - 1}\n{last}\nfirst\n\nx:\n{last}\n"
    assert len((await current.commands.run("cat /proc/self/mountinfo")).stdout) < 16_000
    await _wait_until_short(data_dir)
    again = await create(snapshot.snapshot_id)
    assert (await again.commands.run("wc -l < all; ls d x")).stdout == result.stdout


async def _wait_until_short(data_dir: Path) -> None:
    """Wait until no snapshot stands on more layers than it should, and none is left over."""
    while True:
        with closing(sqlite3.connect(data_dir / "registry.db")) as connection:
            rows = connection.execute("SELECT layers FROM snapshots").fetchall()
        if max(len(json.loads(layers)) for (layers,) in rows) <= CHAIN_LIMIT:
            return
        await asyncio.sleep(0.05)  # the test's time limit is the bound


async def test_processes_go_on_counting_through_a_snapshot(
    create: Any, desktop: AsyncSandbox
) -> None:
    counter = "i=0; while :; do i=$((i+1)); echo $i > n.tmp; mv n.tmp n; sleep 0.002; done"
    handle = await desktop.commands.run(counter, background=True)
    await asyncio.sleep(0.1)
    snapshot = await desktop.create_snapshot(mode="filesystem")
    frozen = int(await (await create(snapshot.snapshot_id)).files.read("n"))
    await asyncio.sleep(0.1)
    assert int(await desktop.files.read("n")) > frozen > 0
    assert await handle.kill()


async def test_snapshots_taken_side_by_side_survive_the_sweeps_of_kills(create: Any) -> None:
    desktops = [await create() for _ in range(6)]
    fill = "mkdir many; seq 400 | split -l 1 - many/; echo {} > mine"
    for number, desktop in enumerate(desktops):
        await desktop.commands.run(fill.format(number))

    async def churn() -> None:
        for _ in range(4):
            await (await create()).kill()

    *snapshots, _ = await asyncio.gather(
        *(desktop.create_snapshot(mode="filesystem") for desktop in desktops), churn()
    )
    for number, (desktop, snapshot) in enumerate(zip(desktops, snapshots, strict=True)):
        await desktop.kill()
        copy = await create(snapshot.snapshot_id)
        assert (await copy.commands.run("cat mine; ls many | wc -l")).stdout == f"{number}\n400\n"


async def test_snapshot_of_a_paused_desktop_works(create: Any, desktop: AsyncSandbox) -> None:
    await desktop.files.write("f", "x")
    await desktop.pause()
    snapshot = await desktop.create_snapshot(mode="filesystem")
    assert await (await create(snapshot.snapshot_id)).files.read("f") == "x"


async def test_snapshot_outlives_its_desktop(create: Any, desktop: AsyncSandbox) -> None:
    await desktop.files.write("f", "x")
    snapshot = await desktop.create_snapshot(mode="filesystem")
    await desktop.kill()
    assert await (await create(snapshot.snapshot_id)).files.read("f") == "x"


async def test_memory_snapshot_is_refused_by_name(desktop: AsyncSandbox) -> None:
    with pytest.raises(e2b.SandboxException, match=r"400.*snapshots of memory"):
        await desktop.create_snapshot(mode="full")


@pytest.mark.parametrize("name", ["base", "base:v1", "a b", "x" * 200])
async def test_snapshot_name_that_misleads_is_refused(desktop: AsyncSandbox, name: str) -> None:
    with pytest.raises(e2b.SandboxException, match=r"400.*name"):
        await desktop.create_snapshot(name, mode="filesystem")


async def test_listing_and_deleting_snapshots(
    create: Any, desktop: AsyncSandbox, options: dict[str, Any], data_dir: Path
) -> None:
    await desktop.files.write("f", "x" * 1000)
    kept = await desktop.create_snapshot(mode="filesystem")
    named = await desktop.create_snapshot("mine", mode="filesystem")
    listed = await desktop.list_snapshots().next_items()
    assert [s.snapshot_id for s in listed] == [named.snapshot_id, kept.snapshot_id]
    assert listed[0].names == ["mine"]
    child = await create("mine")
    before = len(list((data_dir / "layers").iterdir()))
    await desktop.files.write("g", "")
    last = await desktop.create_snapshot(mode="filesystem")
    assert await AsyncSandbox.delete_snapshot(last.snapshot_id, **options)
    assert not await AsyncSandbox.delete_snapshot(last.snapshot_id, **options)
    await desktop.kill()  # its next snapshot would have stood on the last
    assert len(list((data_dir / "layers").iterdir())) == before
    assert await AsyncSandbox.delete_snapshot(kept.snapshot_id, **options)
    assert await AsyncSandbox.delete_snapshot(named.snapshot_id, **options)
    with pytest.raises(e2b.SandboxException, match="not found"):
        await create(named.snapshot_id)
    # A desktop that stands on a deleted snapshot's layers keeps them as long as it needs them.
    assert await child.files.read("f") == "x" * 1000
    await child.kill()
    assert len(list((data_dir / "layers").iterdir())) == before - 2


async def test_built_in_template_cannot_be_deleted(options: dict[str, Any]) -> None:
    with pytest.raises(e2b.SandboxException, match=r"403.*built in"):
        await AsyncSandbox.delete_snapshot("base", **options)
