"""The watchdog: looks at all desktops about once a second and ends what passed a bound.

It holds where no control group does. Memory: beyond the bound the largest process is killed, as the
kernel would, never the agent; only when nobody else is left, because files in memory hold it all,
the desktop's processes end together and it boots again from its disk on the next use. Disk: as
disk.py says. A desktop that used no processor time since the last look is not looked into.
"""

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from sentient_desktop.desktop import Desktop
from sentient_desktop.limits.census import (
    Process,
    find_families,
    take_census,
    weigh,
    weigh_memory_files,
)
from sentient_desktop.limits.disk import free_space
from sentient_desktop.sandbox.freeze import walk_tree
from sentient_desktop.settings import Limits
from sentient_desktop.store.trees import disk_usage

INTERVAL_S = 1.0
HURRIED_S = 0.1
"""Between looks while some desktop is past half of its memory and no control group bounds it."""

MAX_SHARE = 0.05
"""Of one processor, for the looks in general and for measuring disks."""

KILL_ROUNDS = 20

_log = logging.getLogger(__name__)


@dataclass
class Watched:
    """What is remembered of one boot of a desktop between looks."""

    init_pid: int
    ticks: int = -1
    measured_ticks: int = -1
    measured_at: float = 0.0
    measuring_s: float = 0.0
    grown: int = 0
    """Bytes the disk grew between the last two measurements."""


@dataclass
class Watchdog:
    """One per server. ``on_kill`` is told the bound of each kill: memory or disk."""

    desktops: Callable[[], Iterable[Desktop]]
    limits: Limits
    memory_bounded: bool
    """Whether the kernel bounds memory, so that only disks are left to watch."""
    on_kill: Callable[[str], object]
    _known: dict[str, Watched] = field(default_factory=dict)
    _hurry: bool = False

    async def run_forever(self) -> None:
        """Look again and again, resting long enough to stay cheap. Runs until cancelled."""
        while True:
            started = time.monotonic()
            try:
                await asyncio.to_thread(self._look, [d for d in self.desktops() if not d.deleted])
            except Exception:  # noqa: BLE001 - bounds must go on holding whatever happened once
                _log.exception("the watchdog stumbled")
            spent = time.monotonic() - started
            await asyncio.sleep(max(HURRIED_S if self._hurry else INTERVAL_S, spent / MAX_SHARE))

    def _look(self, desktops: list[Desktop]) -> None:
        census = take_census()
        pids = {d.id: d.jail.init_pid for d in desktops if d.jail is not None and d.jail.alive}
        families = find_families(census, pids.values())
        self._known = {name: item for name, item in self._known.items() if name in pids}
        self._hurry = False
        for desktop in desktops:
            pid = pids.get(desktop.id)
            if pid is None or not families[pid]:
                continue
            watched = self._known.get(desktop.id)
            if watched is None or watched.init_pid != pid:
                watched = self._known[desktop.id] = Watched(pid)
            ticks = sum(census[member].ticks for member in families[pid])
            if not self.memory_bounded and ticks != watched.ticks:
                self._bound_memory(desktop, families[pid], census)
            watched.ticks = ticks
            self._measure_disk(desktop, watched)
        self._bound_all_disks(desktops)

    def _bound_memory(
        self, desktop: Desktop, family: list[int], census: dict[int, Process]
    ) -> None:
        agent, bound = family[0], self.limits.memory_bytes
        files = weigh_memory_files(agent)
        # Cheap and too high first: shared pages count once for each process that maps them.
        if files + sum(census[pid].resident for pid in family) <= bound // 2:
            return
        self._hurry = True
        weights = {pid: weigh(pid) for pid in family}
        while files + sum(weights.values()) > bound:
            others = [pid for pid in weights if pid != agent]
            if not others:
                self._kill(desktop, agent, "memory", "files in memory hold more than its bound")
                return
            largest = max(others, key=lambda pid: weights[pid])
            self._kill(desktop, largest, "memory", f"holds {weights[largest]} bytes of memory")
            del weights[largest]

    def _measure_disk(self, desktop: Desktop, watched: Watched) -> None:
        due = watched.measured_at + max(INTERVAL_S, watched.measuring_s / MAX_SHARE)
        started = time.monotonic()
        watched.grown = 0
        if watched.ticks == watched.measured_ticks or started < due:
            return
        used, before = disk_usage(desktop.disk), desktop.disk_used
        watched.measured_at = time.monotonic()
        watched.measuring_s = watched.measured_at - started
        watched.measured_ticks = watched.ticks
        watched.grown = used - before
        desktop.disk_used = used
        if used > self.limits.disk_bytes and watched.grown > 0:
            self._kill_commands(desktop, f"its disk holds {used} of {self.limits.disk_bytes} bytes")

    def _bound_all_disks(self, desktops: list[Desktop]) -> None:
        growing = [d for d in desktops if d.id in self._known and self._known[d.id].grown > 0]
        if not growing or free_space(growing[0].home) >= self.limits.free_bytes:
            return
        fastest = max(growing, key=lambda desktop: self._known[desktop.id].grown)
        self._kill_commands(fastest, "the server's disk is almost full and it grew most")

    def _kill_commands(self, desktop: Desktop, why: str) -> None:
        """Kill everything but the agent; a killed process cannot fork, so the rounds end."""
        if (jail := desktop.jail) is None:
            return
        for _ in range(KILL_ROUNDS):
            doomed = [pid for pid in walk_tree(jail.init_pid) if pid != jail.init_pid]
            if not doomed:
                return
            for pid in doomed:
                self._kill(desktop, pid, "disk", why)

    def _kill(self, desktop: Desktop, pid: int, reason: str, why: str) -> None:
        _log.warning("desktop %s: process %d was killed: %s", desktop.id, pid, why)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            self.on_kill(reason)
