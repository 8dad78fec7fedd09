"""Control groups: one per desktop and hierarchy, made before it boots, gone when it ends.

The jail's first process puts itself into the groups before it gives up its privileges, so nothing
of a desktop ever runs outside. Groups lie below the server's own, whose bounds go on holding, and
their names begin with a digest of the data folder: what carries it and is still there when a
server starts belongs to nobody.
"""

import contextlib
import hashlib
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sentient_desktop.errors import FreezeError
from sentient_desktop.settings import Limits

SPARE_PROCESSES = 64
"""Above RLIMIT_NPROC: bubblewrap and the agent's own threads count here too."""

CPU_PERIOD_US = 100_000
FREEZE_TIMEOUT_S = 5.0
REMOVE_TIMEOUT_S = 5.0

PREFIX = "sentient-"
ABANDONED_S = 60.0


@dataclass(frozen=True)
class Hierarchy:
    """A folder of a cgroup file system we may make groups in, and what they can bound there."""

    folder: Path
    controllers: frozenset[str]
    """Of ``cpu``, ``memory`` and ``pids``."""
    unified: bool
    """Whether this is cgroup v2, which can also freeze."""

    def settings(self, limits: Limits) -> list[tuple[str, int | str]]:
        """Return (file, value) for each bound, in the order they must be written."""
        quota = round(limits.cpus * CPU_PERIOD_US)
        memory, pids = limits.memory_bytes, limits.processes + SPARE_PROCESSES
        v2: dict[str, list[tuple[str, int | str]]] = {
            "cpu": [("cpu.max", f"{quota} {CPU_PERIOD_US}")],
            "memory": [("memory.max", memory), ("memory.swap.max", 0)],
            "pids": [("pids.max", pids)],
        }
        v1: dict[str, list[tuple[str, int | str]]] = {
            "cpu": [("cpu.cfs_period_us", CPU_PERIOD_US), ("cpu.cfs_quota_us", quota)],
            "memory": [
                ("memory.limit_in_bytes", memory),
                ("memory.memsw.limit_in_bytes", memory),
            ],
            "pids": [("pids.max", pids)],
        }
        table = v2 if self.unified else v1
        return [item for name in sorted(self.controllers) for item in table[name]]


OPTIONAL = frozenset({"memory.swap.max", "memory.memsw.limit_in_bytes"})
"""Files that kernels without accounting of swap do not have."""


class Cgroups:
    """The groups of one server's desktops; without hierarchies, every call does nothing."""

    def __init__(
        self, name: str, hierarchies: Sequence[Hierarchy], limits: Limits, data_dir: Path
    ) -> None:
        self.name = name
        self._hierarchies = hierarchies
        self._limits = limits
        self._prefix = f"{PREFIX}{hashlib.sha256(bytes(data_dir)).hexdigest()[:12]}-"

    @property
    def enforced(self) -> frozenset[str]:
        """What the kernel bounds per desktop, of ``cpu``, ``memory`` and ``pids``."""
        return frozenset(name for item in self._hierarchies for name in item.controllers)

    @property
    def can_freeze(self) -> bool:
        """Whether freeze() and thaw() work: v2 only.

        The freezer of v1 keeps frozen processes even from dying, so a desktop paused with it would
        outlive a server that is killed.
        """
        return any(item.unified for item in self._hierarchies)

    def enclose(self, desktop_id: str) -> list[str]:
        """Make the groups of a desktop; return the files its first process writes itself into.

        Raises:
            OSError: a bound was not accepted.
        """
        for hierarchy in self._hierarchies:
            group = self._group(hierarchy, desktop_id)
            group.mkdir(exist_ok=True)
            for name, value in hierarchy.settings(self._limits):
                if name not in OPTIONAL or (group / name).exists():
                    (group / name).write_text(str(value))
        return [str(self._group(item, desktop_id) / "cgroup.procs") for item in self._hierarchies]

    def release(self, desktop_id: str) -> None:
        """Remove the groups of a desktop whose processes are gone; missing ones are fine."""
        for hierarchy in self._hierarchies:
            _remove(self._group(hierarchy, desktop_id))

    def sweep(self) -> None:
        """Remove every group of this data folder, killing who is in it. Before anything boots.

        Empty ones of other folders go too, unless they are new: a server that was killed may have
        lost its folder, and a living one makes a group again when it needs it.
        """
        for group in self.groups():
            _remove(group)
        for hierarchy in self._hierarchies:
            for group in hierarchy.folder.glob(f"{PREFIX}*-*"):
                with contextlib.suppress(OSError):
                    if time.time() - group.stat().st_mtime > ABANDONED_S:
                        group.rmdir()  # refused when somebody is in it

    def groups(self) -> list[Path]:
        """Return every group of this data folder that exists."""
        return [p for item in self._hierarchies for p in item.folder.glob(f"{self._prefix}*")]

    def freeze(self, desktop_id: str) -> None:
        """Bring all processes of a desktop to a standstill. Blocks, well under a millisecond.

        Raises:
            FreezeError: they kept moving for 5 s; they were thawed again.
        """
        group = self._freezer(desktop_id)
        (group / "cgroup.freeze").write_text("1")
        deadline = time.monotonic() + FREEZE_TIMEOUT_S
        while "frozen 1" not in (group / "cgroup.events").read_text():
            if time.monotonic() > deadline:
                self.thaw(desktop_id)
                text = f"the processes were still moving after {FREEZE_TIMEOUT_S:g} s"
                raise FreezeError(text)
            time.sleep(0.0001)

    def thaw(self, desktop_id: str) -> None:
        """Let the processes of a desktop go on; a missing group is fine."""
        with contextlib.suppress(FileNotFoundError):
            (self._freezer(desktop_id) / "cgroup.freeze").write_text("0")

    def count_oom_kills(self, desktop_id: str) -> int:
        """Return how many processes of a desktop the kernel killed for its memory so far."""
        for hierarchy in self._hierarchies:
            if "memory" in hierarchy.controllers:
                group = self._group(hierarchy, desktop_id)
                name = "memory.events" if hierarchy.unified else "memory.oom_control"
                with contextlib.suppress(OSError):
                    for line in (group / name).read_text().splitlines():
                        if line.startswith("oom_kill "):
                            return int(line.split()[1])
        return 0

    def _freezer(self, desktop_id: str) -> Path:
        unified = next(item for item in self._hierarchies if item.unified)
        return self._group(unified, desktop_id)

    def _group(self, hierarchy: Hierarchy, desktop_id: str) -> Path:
        return hierarchy.folder / (self._prefix + desktop_id)


def _remove(group: Path) -> None:
    """Remove a group, killing what is still in it. One that resists is left for the next sweep."""
    deadline = time.monotonic() + REMOVE_TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            group.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            _kill_members(group)
            time.sleep(0.002)


def _kill_members(group: Path) -> None:
    with contextlib.suppress(OSError):
        for pid in (group / "cgroup.procs").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
    with contextlib.suppress(OSError):
        (group / "cgroup.freeze").write_text("0")
