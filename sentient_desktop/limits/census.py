"""Who runs in which desktop and what it uses, read from the host's /proc in one pass."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

MEMORY_MOUNTS = ("dev/shm", "run")
"""File systems of a desktop that live in memory and that its guest may write."""

INODE_BYTES = 1024
"""What one empty file on them costs the kernel: an inode, a directory entry, and their slack."""

_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Process:
    """One line of the census."""

    parent: int
    ticks: int
    """Processor time so far, of its reaped children too, in clock ticks."""
    resident: int
    """Bytes of memory it holds or maps, shared ones in full."""


def take_census() -> dict[int, Process]:
    """Read every process of the machine, zombies left out. Blocks about 15 us per process."""
    table = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - names only, once a second
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123 - the same
                    fields = file.read().rpartition(b")")[2].split()
            except OSError:
                continue
            if fields[0] not in (b"Z", b"X"):
                ticks = sum(map(int, fields[11:15]))
                table[int(name)] = Process(int(fields[1]), ticks, int(fields[21]) * _PAGE)
    return table


def find_families(census: dict[int, Process], roots: Iterable[int]) -> dict[int, list[int]]:
    """Return {root: pids}, each root with all its descendants, itself first."""
    children: dict[int, list[int]] = {}
    for pid, process in census.items():
        children.setdefault(process.parent, []).append(pid)
    families = {}
    for root in roots:
        family = [root] if root in census else []
        for pid in family:
            family += children.get(pid, [])
        families[root] = family
    return families


def weigh(pid: int) -> int:
    """Return the bytes that are this process's own: private ones, and its share of shared ones.

    Slower than the census, because the kernel walks the page tables for it; 0 for who is gone.
    """
    total = 0
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(("Pss_Anon:", "Pss_Shmem:", "SwapPss:")):
                total += int(line.split()[1]) << 10
    except OSError:
        return 0
    return total


def weigh_memory_files(init_pid: int) -> int:
    """Return what a desktop's memory file systems hold, in bytes; empty files have a price too.

    The mounts cannot be replaced by the guest: the kernel refuses to rename what is mounted on.
    """
    total = 0
    for mount in MEMORY_MOUNTS:
        try:
            fd = os.open(f"/proc/{init_pid}/root/{mount}", os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            use = os.fstatvfs(fd)
        except OSError:
            continue
        finally:
            os.close(fd)
        total += (use.f_blocks - use.f_bfree) * use.f_frsize
        total += (use.f_files - use.f_ffree) * INODE_BYTES
    return total
