"""What desktops use: a short history of samples each.

Samples are read from the host's /proc, never asked of the desktop.
"""

import asyncio
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sentient_desktop.desktop import Desktop
from sentient_desktop.sandbox.freeze import walk_tree
from sentient_desktop.settings import Limits
from sentient_desktop.store.trees import disk_usage

INTERVAL_S = 5.0
"""Between samples, as with E2B."""

KEPT = 240
"""Samples kept of each desktop: the last 20 minutes, some 60 KB."""

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement; sizes in bytes."""

    at: float
    cpu_s: float
    """Processor time of all living processes since their start, and of their reaped children."""
    cpu_pct: float
    """Percent of one core per core used, since the last sample or else since the desktop's boot."""
    resident: int
    cached: int
    disk: int
    is_whole: bool
    """Whether the disk was measured for it, and not some time before."""

    def body(self, limits: Limits) -> dict[str, Any]:
        """Return the sample as the SDKs read it."""
        return {
            "timestamp": datetime.fromtimestamp(self.at, UTC).isoformat().replace("+00:00", "Z"),
            "timestampUnix": int(self.at),
            "cpuCount": max(1, round(limits.cpus)),
            "cpuUsedPct": self.cpu_pct,
            "memUsed": self.resident,
            "memTotal": limits.memory_bytes,
            "memCache": self.cached,
            "diskUsed": self.disk,
            "diskTotal": limits.disk_bytes,
        }


def measure(desktop: Desktop, last: Sample | None, disk: int | None) -> Sample | None:
    """Take one sample, or None when the desktop has no processes that could run.

    Its disk is as given, or as the watchdog last saw it.
    """
    jail = desktop.jail
    if jail is None or not jail.alive or desktop.record.state != "running":
        return None
    seconds, oldest = 0.0, time.clock_gettime(time.CLOCK_BOOTTIME)
    now, resident, shared = oldest, 0, 0
    for pid in walk_tree(jail.init_pid):
        try:
            fields = (
                Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
            )
            memory = Path(f"/proc/{pid}/statm").read_text().split()
        except OSError:
            continue
        # utime, stime and those of reaped children; then the start time
        seconds += sum(int(value) for value in fields[11:15]) / _TICKS
        oldest = min(oldest, int(fields[19]) / _TICKS)
        resident += int(memory[1]) * _PAGE
        shared += int(memory[2]) * _PAGE
    at = time.time()
    if last is not None and last.cpu_s <= seconds:
        percent = 100 * (seconds - last.cpu_s) / max(at - last.at, 0.01)
    else:
        percent = 100 * seconds / max(now - oldest, 0.01)
    used, is_whole = (desktop.disk_used, False) if disk is None else (disk, True)
    return Sample(at, seconds, round(percent, 2), resident, shared, used, is_whole)


class History:
    """The samples of one server's desktops, by id. Desktops that are gone are forgotten."""

    def __init__(self, desktops: Callable[[], Iterable[Desktop]]) -> None:
        self._desktops = desktops
        self._samples: dict[str, deque[Sample]] = {}

    async def sample_forever(self) -> None:
        """Sample every desktop that runs, again and again. Runs until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL_S)
            try:
                await asyncio.to_thread(self._look, list(self._desktops()))
            except Exception:  # noqa: BLE001 - one bad sample must not end all sampling
                _log.exception("sampling the desktops failed")

    def _look(self, desktops: list[Desktop]) -> None:
        for desktop in desktops:
            self._take(desktop, None)
        for gone in self._samples.keys() - {desktop.id for desktop in desktops}:
            del self._samples[gone]

    def _take(self, desktop: Desktop, disk: int | None) -> None:
        ring = self._samples.setdefault(desktop.id, deque(maxlen=KEPT))
        sample = measure(desktop, ring[-1] if ring else None, disk)
        if sample is not None:
            ring.append(sample)

    async def read(self, desktop: Desktop, start: int | None, end: int | None) -> list[Sample]:
        """Return the samples of a time window, both ends included, oldest first.

        A window without an end reaches up to now, and has a sample of now as its last: the one
        case in which the disk is measured anew.
        """
        ring = self._samples.get(desktop.id)
        is_new = ring and ring[-1].is_whole and time.time() - ring[-1].at < 1
        if end is None and not is_new:
            await asyncio.to_thread(lambda: self._take(desktop, disk_usage(desktop.disk)))
        kept = list(self._samples.get(desktop.id, ()))
        return [s for s in kept if (start or 0) <= s.at and (end is None or s.at < end + 1)]

    def latest(self, desktop_id: str) -> Sample | None:
        """Return a desktop's last sample, if it has one yet."""
        ring = self._samples.get(desktop_id)
        return ring[-1] if ring else None
