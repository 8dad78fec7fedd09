"""What snapshots and pauses must not lose: changes that leave size and time alone, edits after the
second resume, writes until the very moment of a pause."""

import asyncio
import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from e2b import AsyncSandbox

ROOT = "/workspace/sly/tree"
PROGRAM = (Path(__file__).parents[1] / "support/inside/sly_changes.py").read_text()
ROUNDS = 4

SAME_TICK = """
import os, sys
fd = os.open("/workspace/tick", os.O_RDWR | os.O_CREAT)
os.pwrite(fd, b"%06d" % int(sys.argv[1]), 0)
os.utime(fd, ns=(10**18, 10**18))
"""

COUNTER = """
import os
fd = os.open("/workspace/counter", os.O_RDWR | os.O_CREAT)
number = 0
while True:
    number += 1
    os.pwrite(fd, b"%012d" % number, 0)
    os.utime(fd, ns=(10**18, 10**18))
"""


async def look(desktop: AsyncSandbox, round: int, *left_out: str) -> dict[str, Any]:
    command = shlex.join(["python3", "-I", "-c", PROGRAM, ROOT, str(round), *left_out])
    found = json.loads((await desktop.commands.run(command)).stdout)
    assert len(found) > 10
    return found  # type: ignore[no-any-return]


def differing(one: dict[str, Any], two: dict[str, Any]) -> set[str]:
    return {path for path in one | two if one.get(path) != two.get(path)}


async def test_each_snapshot_holds_every_sly_change_until_it_and_none_after(
    create: Any, desktop: AsyncSandbox
) -> None:
    taken = []
    for round in range(ROUNDS):
        seen = await look(desktop, round)
        info = await desktop.create_snapshot(mode="filesystem")
        taken.append((info.snapshot_id, seen))
    for snapshot, seen in taken:
        copy = await create(snapshot)
        assert not differing(seen, await look(copy, -1))
        await copy.kill()


async def test_sly_changes_on_layers_of_a_snapshot_are_in_the_next(create: Any) -> None:
    """Each round on a desktop made from the snapshot of the round before."""
    current = await create()
    seen = await look(current, 0)
    for round in range(1, ROUNDS):
        snapshot = await current.create_snapshot(mode="filesystem")
        following = await create(snapshot.snapshot_id)
        await current.kill()
        current = following
        assert not differing(seen, await look(current, -1))
        seen = await look(current, round, "kept_open")  # its process is not in a snapshot


async def test_write_within_the_tick_of_a_snapshot_is_in_the_next(
    create: Any, desktop: AsyncSandbox
) -> None:
    snapshots = []
    for number in range(12):
        await desktop.commands.run(
            shlex.join(["python3", "-I", "-S", "-c", SAME_TICK, str(number)])
        )
        snapshots.append(await desktop.create_snapshot(mode="filesystem"))
    for number in (1, 6, 11):
        copy = await create(snapshots[number].snapshot_id)
        assert await copy.files.read("/workspace/tick") == f"{number:06d}"
        await copy.kill()


async def _wait_for_news(desktop: AsyncSandbox, seen: set[str]) -> None:
    """Wait until the counter has a number that is not in ``seen``, and add it."""
    number = ""
    while number in seen:  # the test's time limit is the bound
        number = (await desktop.commands.run("cat /workspace/counter 2> /dev/null || true")).stdout
    seen.add(number)


async def test_file_written_without_pause_is_whole_and_never_older_in_later_snapshots(
    create: Any, desktop: AsyncSandbox
) -> None:
    handle = await desktop.commands.run(shlex.join(["python3", "-c", COUNTER]), background=True)
    snapshots: list[Any] = []
    seen: set[str] = {""}
    for _ in range(6):
        await _wait_for_news(desktop, seen)
        snapshots.append(await desktop.create_snapshot(mode="filesystem"))
    await handle.kill()
    last = await desktop.files.read("/workspace/counter")
    snapshots.append(await desktop.create_snapshot(mode="filesystem"))
    numbers = []
    for snapshot in snapshots:
        copy = await create(snapshot.snapshot_id)
        numbers.append(await copy.files.read("/workspace/counter"))
        await copy.kill()
    assert numbers == sorted(set(numbers)), "each snapshot is newer than the one before"
    assert all(len(number) == 12 for number in numbers)
    assert numbers[-1] == last


@pytest.mark.parametrize("mode", ["full", "filesystem"])
async def test_edits_after_the_second_and_every_later_resume_are_kept(
    desktop: AsyncSandbox, mode: str
) -> None:
    """Elsewhere edits are lost from the second resume on (e2b-dev/E2B#884)."""
    for cycle in range(6):
        await desktop.files.write(f"/workspace/{cycle}", str(cycle))
        await desktop.commands.run(f"echo {cycle} >> /workspace/all; rm -f /workspace/{cycle - 2}")
        assert await desktop.pause(mode=mode)
        await desktop.connect()
        expected = "".join(f"{number}\n" for number in range(cycle + 1))
        assert await desktop.files.read("/workspace/all") == expected
        there = [entry.name for entry in await desktop.files.list("/workspace")]
        assert sorted(there) == [*map(str, range(max(0, cycle - 1), cycle + 1)), "all"]


async def test_pause_by_timeout_keeps_what_was_written_until_then(create: Any) -> None:
    """Elsewhere a pause by timeout lost what a pause by call kept (e2b-dev/E2B#1104)."""
    desktop = await create(timeout=1, lifecycle={"on_timeout": "pause"})
    for cycle in range(3):
        await desktop.files.write("/workspace/acknowledged", f"cycle {cycle}")
        command = shlex.join(["python3", "-c", COUNTER])
        await desktop.commands.run(
            f"rm -f /workspace/counter; {command} & echo $! > /workspace/pid"
        )
        await _wait_for_news(desktop, {""})
        counted = int(await desktop.files.read("/workspace/counter"))
        await desktop.set_timeout(0)
        while (await desktop.get_info()).state.value != "paused":
            await asyncio.sleep(0.02)  # the test's time limit is the bound
        await desktop.connect(timeout=60)
        await desktop.commands.run("kill $(cat /workspace/pid)")
        assert await desktop.files.read("/workspace/acknowledged") == f"cycle {cycle}"
        assert int(await desktop.files.read("/workspace/counter")) >= counted
