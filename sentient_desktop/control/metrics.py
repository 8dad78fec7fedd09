"""What a desktop uses right now, read from the host's /proc and from its disk's folder."""

import os
import time
from pathlib import Path
from typing import Any

from sentient_desktop.desktop import Desktop
from sentient_desktop.sandbox.freeze import walk_tree
from sentient_desktop.store.trees import disk_usage

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def measure(desktop: Desktop) -> dict[str, Any] | None:
    """Return one sample, or None when the desktop has no processes. Blocks for a disk walk.

    CPU is the mean since the oldest living process of the desktop started, in percent of one core
    per core used; memory is the sum of resident pages, of which file-backed ones are the cache.
    """
    jail = desktop.jail
    if jail is None or not jail.alive:
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
    return {
        "cpuCount": max(1, round(desktop.limits.cpus)),
        "cpuUsedPct": round(100 * seconds / max(now - oldest, 0.01), 2),
        "memUsed": resident,
        "memTotal": desktop.limits.memory_bytes,
        "memCache": shared,
        "diskUsed": disk_usage(desktop.disk),
        "diskTotal": desktop.limits.disk_bytes,
    }
