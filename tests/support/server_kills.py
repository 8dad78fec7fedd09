"""Rounds: work on a server, kill it, perhaps kill the next while it recovers, see what is left."""

import asyncio
import hashlib
import itertools
import json
import os
import random
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from acknowledged import Client
from nursery import RECOVERING, WORKING, Blow, Nursery

from sentient_desktop.state import read_start_time

TOP = {
    "desktops", "empty", "layers", "launch.lock", "registry.db", "registry.db-shm",
    "registry.db-wal", "server.json", "server.jsonl", "server.lock", "server.log", "spawner.log",
    "templates", "probe.log", "reserve",
}  # fmt: skip
"""All that may lie in a data folder while its server runs."""

POINT_WAIT_S = 2.0
"""A point that is not reached within this time is not waited for: the kill comes from outside."""

DEPTH = 3

NAMED = 0.6
"""Share of kills at named points; the others come at any instant."""


@dataclass
class Tally:
    """What a campaign did and found."""

    kills: int = 0
    points: Counter[str] = field(default_factory=Counter)
    depths: Counter[int] = field(default_factory=Counter)
    in_flight: Counter[str] = field(default_factory=Counter)
    """What had been asked for and not answered at how many kills."""
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def count(self, point: str, depth: int, in_flight: Counter[str]) -> None:
        """Count a kill."""
        self.kills += 1
        self.points[point] += 1
        self.depths[depth] += 1
        self.in_flight.update(name for name, count in in_flight.items() if count)


class Campaign:
    """Kills of the servers of one data folder, all drawn from one seed."""

    def __init__(self, folder: Path, seed: int, *, deep: float = 0.25) -> None:
        """``deep`` is how likely a server is killed again while it recovers, up to twice."""
        self.data_dir = folder / "desktop"
        self.tally = Tally()
        self._random = random.Random(seed)
        self._seed, self._deep = seed, deep
        self._port = self._random.randrange(10_000, 30_000)  # below what connections are given
        self._working, self._recovering = self._shuffled(WORKING), self._shuffled(RECOVERING)
        self._nursery = Nursery()
        self._client: Client | None = None
        self._dying: asyncio.Task[int] | None = None

    async def run(self, rounds: int) -> Tally:
        """Carry out rounds; stops at the first problem."""
        began = time.monotonic()
        try:
            for number in range(rounds + 1):
                found = await self._round(last=number == rounds)
                self.tally.problems += [f"seed {self._seed}, {number} kills: {t}" for t in found]
                if self.tally.problems:
                    break
        finally:
            await asyncio.to_thread(self._nursery.close)
        self.tally.seconds = time.monotonic() - began
        return self.tally

    async def _round(self, *, last: bool) -> list[str]:
        """Check what the last kill left on the next server, and kill that one at work."""
        choose = self._random
        blow = self._draw(self._working, 4) if choose.random() < NAMED else None
        self._nursery.order(
            self.data_dir, blow, pooled=choose.choice((0, 0, 0, 1)), port=self._port
        )
        ready = await asyncio.to_thread(self._nursery.wait_ready)
        assert ready, "the server died before it was ready"
        options = {"api_url": ready["url"], "sandbox_url": ready["url"]}
        options |= {"api_key": ready["api_key"], "retries": 0}
        self._dying = None
        self._client = self._client or Client(self._seed, options)
        self._client.server = ready["ready"]
        try:
            problems = await self._client.check(options)
            problems += await asyncio.to_thread(left_over, self.data_dir, ready["ready"])
            if not last and not problems:
                await self._kill_at_work(ready["ready"], blow)
                await self._kill_while_recovering()
                return []
            return problems
        finally:
            if read_start_time(ready["ready"]):
                os.kill(ready["ready"], signal.SIGKILL if self._dying else signal.SIGTERM)
                await (self._dying or asyncio.to_thread(self._nursery.wait_dead))

    def _draw(self, places: "itertools.cycle[tuple[str, str]]", most: int) -> Blow:
        point, side = next(places)
        return Blow(point, side, self._random.randint(1, most))

    def _shuffled(self, points: Iterable[str]) -> "itertools.cycle[tuple[str, str]]":
        places = [(point, side) for point in sorted(points) for side in ("before", "after")]
        self._random.shuffle(places)
        return itertools.cycle(places)

    async def _kill_at_work(self, pid: int, blow: Blow | None) -> None:
        assert self._client
        if blow:
            os.kill(pid, signal.SIGUSR2)
        working = asyncio.create_task(self._client.work())
        self._dying = dying = asyncio.create_task(asyncio.to_thread(self._nursery.wait_dead))
        delay = POINT_WAIT_S if blow else self._random.uniform(0.01, 0.5)
        await asyncio.wait({dying, working}, timeout=delay, return_when=asyncio.FIRST_COMPLETED)
        point = str(blow)
        if not dying.done() and not working.done():
            os.kill(pid, signal.SIGKILL)
            point = "any instant"
        await working
        assert await dying == -signal.SIGKILL
        self.tally.count(point, 1, self._client.in_flight)

    async def _kill_while_recovering(self) -> None:
        choose, depth = self._random, 1
        while depth < DEPTH and choose.random() < self._deep:
            depth += 1
            blow = self._draw(self._recovering, 1) if choose.random() < NAMED else None
            self._nursery.order(self.data_dir, blow, port=self._port)
            dying = asyncio.create_task(asyncio.to_thread(self._nursery.wait_dead))
            delay = POINT_WAIT_S if blow else choose.uniform(0, 1)
            await asyncio.wait({dying}, timeout=delay)
            point = str(blow)
            if not dying.done():
                os.kill(self._nursery.pid, signal.SIGKILL)
                point = "any instant of recovery"
            assert await dying == -signal.SIGKILL
            self.tally.count(point, depth, Counter())


def left_over(data_dir: Path, server: int, within_s: float = 5.0) -> list[str]:
    """What is there beside the server and what its rows name; looks again for ``within_s``."""
    deadline = time.monotonic() + within_s
    while (found := _look(data_dir, server)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def _look(data_dir: Path, server: int) -> list[str]:
    found = [f"in the data folder: {n}" for n in {p.name for p in data_dir.iterdir()} - TOP]
    uri = f"file:{data_dir}/registry.db?mode=ro"
    with closing(sqlite3.connect(uri, uri=True)) as registry:
        (verdict,) = registry.execute("PRAGMA integrity_check").fetchone()
        desktops = {i for (i,) in registry.execute("SELECT id FROM desktops")}
        rows = [row for table in ("desktops", "snapshots")
                for row in registry.execute(f"SELECT layers FROM {table}")]  # fmt: skip
    layers = {layer for (text,) in rows for layer in json.loads(text or "[]")}
    for name, known in (("desktops", desktops), ("layers", layers)):
        there = {path.name for path in (data_dir / name).iterdir()}
        found += [f"in {name} without a row: {n}" for n in there - known]
        found += [f"not in {name}: {n}" for n in known - there]
    if verdict != "ok":
        found.append(f"the registry: {verdict}")
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    found += [f"mounted: {line}" for line in mounts if str(data_dir) in line]
    prefix = f"sentient-{hashlib.sha256(bytes(data_dir)).hexdigest()[:12]}-"
    for folder, groups, _ in os.walk("/sys/fs/cgroup"):  # unlike glob, it bears what vanishes
        for name in groups:
            if name.startswith(prefix) and name.removeprefix(prefix) not in desktops:
                found.append(f"a control group: {folder}/{name}")
    return found + _strangers(str(data_dir), prefix, server)


def _strangers(data_dir: str, prefix: str, server: int) -> list[str]:
    """Processes that belong to the data folder and do not descend from its server."""
    parents, mine = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                status = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
                line = (
                    (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                )
                traces = (entry / "cgroup").read_text() + (entry / "mountinfo").read_text()
            except OSError:
                continue
            if status[0] not in "ZX":
                parents[int(entry.name)] = int(status[1])
                if prefix in traces or f"{data_dir}/" in line + traces:
                    mine[int(entry.name)] = line
    found = []
    for pid, line in mine.items():
        above = pid
        while above and above != server:
            above = parents.get(above, 0)
        if not above:
            found.append(f"process {pid}: {line[:200]}")
    return found
