"""Retention on a real server: random histories of threads, and what collecting leaves of them."""

import asyncio
import os
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.base.id import uuid6

from checkpoints.lease import take_lease, thread_lease
from checkpoints.ledger import Ledger
from checkpoints.sqlite import SqliteSaver, open_saver
from graphs.engineering import make_graph
from nodes.desktops import OWNER, ROLE
from nodes.home_desktops import HomeDesktops
from sentient.cleanup.housekeeping import Housekeeping
from tools.connection import Connection
from tools.desktop import Desktop
from tools.home import HOME, home_id
from tools.settings import Settings

THREADS = ("first", "second", "third")
EXAMPLES = int(os.environ.get("RETENTION_EXAMPLES", "4"))
"""Random histories; `make retention` asks for more."""


@dataclass
class World:
    """What should be true of one history."""

    saver: SqliteSaver
    ledger: Ledger
    keeper: Housekeeping
    server: HomeDesktops
    desktops: dict[str, Desktop]
    leases: Path
    named: dict[str, dict[str, set[str]]] = field(default_factory=dict)
    """By thread and checkpoint: the snapshots that it or its pending writes name."""
    taken: dict[str, str] = field(default_factory=dict)
    """Every snapshot with the thread of its desktop."""
    collected: int = 0

    @property
    def reachable(self) -> set[str]:
        return {
            name for points in self.named.values() for names in points.values() for name in names
        }

    async def existing(self) -> set[str]:
        lists = [await self.server.snapshots(desktop.id) for desktop in self.desktops.values()]
        return {snapshot for found in lists for snapshot in found}


async def snapshot(world: World, thread: str, *, recorded: bool) -> str:
    desktop = world.desktops[thread]
    taken = await desktop.snapshot()
    world.taken[taken] = thread
    if recorded:
        world.ledger.inventory.save_snapshot(
            taken, server=world.server.name, thread=thread, desktop=desktop.id
        )
    return taken


async def step(world: World, thread: str, pick: random.Random) -> None:
    """A node that ends: its snapshot, and a checkpoint that follows any earlier one."""
    taken = await snapshot(world, thread, recorded=pick.random() < 0.8)
    points = world.named.setdefault(thread, {})
    parent = pick.choice(sorted(points)) if points else None
    base = (
        pick.choice(sorted(world.reachable)) if world.reachable and pick.random() < 0.3 else taken
    )
    checkpoint = empty_checkpoint()
    checkpoint["id"] = str(uuid6())
    checkpoint["channel_values"] = {
        "desktop": {"id": world.desktops[thread].id, "snapshot": taken, "head": "h"},
        "base_snapshot": base,
    }
    place = {"thread_id": thread, "checkpoint_ns": "", "checkpoint_id": parent}
    await world.saver.aput({"configurable": place}, checkpoint, {}, {})
    points[checkpoint["id"]] = {taken, base}
    world.ledger.save_thread(thread, status="running")


async def pending(world: World, thread: str, pick: random.Random) -> None:
    """A node that ended, killed before its checkpoint: only its writes are saved."""
    points = world.named.get(thread)
    if not points:
        return
    taken, newest = await snapshot(world, thread, recorded=True), max(points)
    place = {"thread_id": thread, "checkpoint_ns": "", "checkpoint_id": newest}
    await world.saver.aput_writes(
        {"configurable": place}, [("desktop", {"snapshot": taken})], str(pick.random())
    )
    points[newest] = points[newest] | {taken}


async def lost(world: World, thread: str, pick: random.Random) -> None:
    """A node killed after its snapshot, before or after it was written down."""
    await snapshot(world, thread, recorded=pick.random() < 0.5)


async def fork(world: World, thread: str, pick: random.Random) -> None:
    source = pick.choice(THREADS)
    if world.named.get(source) and not world.named.get(thread):
        await world.saver.acopy_thread(source, thread)
        world.named[thread] = dict(world.named[source])
        world.ledger.save_thread(thread, status="stopped")


async def forget(world: World, thread: str, _: random.Random) -> None:
    with thread_lease(world.leases, thread):
        await world.keeper.forget(thread)
    world.named.pop(thread, None)


async def elsewhere(world: World, thread: str, _: random.Random) -> None:
    """A run with another saver, such as the Agent Server's: only the ledger knows the thread."""
    if not world.named.get(thread):
        world.ledger.save_thread(thread, status="running")


async def reduce(world: World, thread: str, _: random.Random) -> None:
    points = world.named.get(thread)
    if points:
        await world.keeper.reduce(thread)
        world.named[thread] = {max(points): points[max(points)]}


async def collect(world: World, thread: str, pick: random.Random) -> None:
    """Collect, sometimes while a thread runs, and compare with what should be left."""
    before = await world.existing()
    busy = thread if pick.random() < 0.4 else ""
    dead = {
        taken
        for taken, owner in world.taken.items()
        if taken in before - world.reachable and owner != busy and not is_elsewhere(world, owner)
    }
    lease = take_lease(world.leases, busy) if busy else None
    try:
        for dry_run in (True, False):
            world.keeper.report.snapshots.clear()
            await world.keeper.collect(dry_run=dry_run)
            assert set(world.keeper.report.snapshots) == dead
            assert world.keeper.report.unread == []
            assert await world.existing() == (before if dry_run else before - dead)
    finally:
        if lease:
            lease.release()
    world.collected += len(dead)


def is_elsewhere(world: World, thread: str) -> bool:
    return not world.named.get(thread) and world.ledger.thread(thread) is not None


ACTIONS = {
    action.__name__: action
    for action in (step, pending, lost, fork, forget, elsewhere, reduce, collect)
}
HISTORIES = strategies.lists(
    strategies.tuples(
        strategies.sampled_from(["step", "step", "step", *ACTIONS]),
        strategies.sampled_from(THREADS),
    ),
    min_size=6,
    max_size=24,
)


@pytest.fixture(scope="module")
async def desktops(home: Path) -> AsyncIterator[dict[str, Desktop]]:
    """One desktop a thread, as nodes make them."""
    connection = Connection(Settings(home=home))
    made = {
        thread: await Desktop.create(
            metadata={OWNER: thread, ROLE: "work", HOME: home_id(home)}, connection=connection
        )
        for thread in THREADS
    }
    yield made
    for desktop in made.values():
        await desktop.kill()


async def run_history(
    history: list[tuple[str, str]],
    seed: int,
    desktops: dict[str, Desktop],
    home: Path,
    folder: Path,
) -> int:
    """Carry out a history in databases of its own, then collect; return how many were deleted."""
    connection = Connection(Settings(home=home))
    server = HomeDesktops(connection, home)
    async with open_saver(folder / "checkpoints.db") as saver:
        ledger, pick = Ledger(folder / "ledger.db"), random.Random(seed)
        graph = make_graph(saver, Settings(home=folder))
        keeper = Housekeeping(ledger, server, graph, folder / "leases")
        world = World(saver, ledger, keeper, server, desktops, folder / "leases")
        for desktop, thread in ((desktops[thread], thread) for thread in THREADS):
            ledger.inventory.save_desktop(desktop.id, server=server.name, thread=thread)
            world.taken |= dict.fromkeys(await server.snapshots(desktop.id), thread)
        for action, thread in [*history, ("collect", THREADS[0])]:
            await ACTIONS[action](world, thread, pick)
            assert world.reachable <= await world.existing()
        for thread in THREADS:
            await forget(world, thread, pick)
        await keeper.collect()
        assert await world.existing() == set()
        ledger.close()
        return world.collected


async def test_collect_random_histories_no_reachable_snapshot_is_deleted(
    desktops: dict[str, Desktop], home: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    collected: list[int] = []
    loop = asyncio.get_running_loop()

    @settings(
        max_examples=EXAMPLES, deadline=None, database=None,
        suppress_health_check=list(HealthCheck), derandomize=True,
    )  # fmt: skip
    @given(HISTORIES, strategies.integers(0, 1 << 30))
    def check(history: list[tuple[str, str]], seed: int) -> None:
        folder = tmp_path_factory.mktemp("history")
        work = run_history(history, seed, desktops, home, folder)
        collected.append(asyncio.run_coroutine_threadsafe(work, loop).result(100))

    await asyncio.to_thread(check)
    assert len(collected) >= EXAMPLES
    assert sum(collected) >= EXAMPLES / 2, "hardly anything was there to be collected"
