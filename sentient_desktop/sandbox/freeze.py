"""Bringing every process of a desktop to a standstill from outside, and waking it again.

Signals instead of a cgroup freezer, because they need no privilege. The walk repeats until it
meets nobody new: a process may fork between being seen and being stopped, but its child is then
found in the next round, and a stopped parent has no further children. The kernel may leave a child
out of a list while one of its siblings dies, which standing siblings do not: the round that ends
the walk met nobody moving, so its lists are whole.
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from sentient_desktop.errors import FreezeError

FREEZE_TIMEOUT_S = 5.0

_KERNEL_LISTS_CHILDREN = Path(f"/proc/self/task/{os.getpid()}/children").exists()


def _stat(pid: str) -> tuple[int, str] | None:
    """Return (parent pid, state letter) of a process, or None when it is gone."""
    try:
        text = Path("/proc", pid, "stat").read_text(errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return int(fields[1]), fields[0]


def _children(pid: int) -> Iterator[int]:
    """Yield the children of every thread of a process, as the kernel lists them."""
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - names only
            yield from map(int, Path(f"/proc/{pid}/task/{thread}/children").read_text().split())
    except OSError:
        return  # gone meanwhile


def _scan_parents() -> dict[int, list[int]]:
    """Return {pid: children} of the whole host, for kernels that list no children."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):  # noqa: PTH208 - names only
        if entry.isdigit() and (found := _stat(entry)):
            children.setdefault(found[0], []).append(int(entry))
    return children


def walk_tree(root: int) -> dict[int, str]:
    """Return {pid: state letter} for ``root`` and all its descendants, zombies left out.

    Looks at these processes alone, however many the host has.
    """
    listing = None if _KERNEL_LISTS_CHILDREN else _scan_parents()
    found, queue = {}, [root]
    while queue:
        pid = queue.pop()
        if (status := _stat(str(pid))) and status[1] not in "ZX":
            found[pid] = status[1]
        queue += _children(pid) if listing is None else listing.get(pid, [])
    return found


def freeze(init_pid: int, timeout_s: float = FREEZE_TIMEOUT_S) -> list[int]:
    """Stop pid 1 of a desktop and everything below it; return the pids that were stopped here.

    Processes the guest itself had stopped are left out of the list, so that thaw() does not wake
    them. Blocking, milliseconds.

    Raises:
        FreezeError: some process kept appearing for ``timeout_s``; everything was thawed again.
    """
    stopped: list[int] = []
    seen: set[int] = set()
    deadline = time.monotonic() + timeout_s
    while True:
        tree = walk_tree(init_pid)
        for pid in sorted(tree.keys() - seen, key=lambda pid: pid != init_pid):
            seen.add(pid)
            if tree[pid] != "T":
                stopped.append(pid)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
                tree[pid] = "?"
        if tree and all(state in "Tt" for state in tree.values()):
            return stopped
        if not tree or time.monotonic() > deadline:
            thaw(stopped)
            moving = sum(state not in "Tt" for state in tree.values())
            raise FreezeError(f"{moving} processes were still moving after {timeout_s:g} s")
        time.sleep(0.0002)


def thaw(pids: list[int]) -> None:
    """Wake processes stopped by freeze(), the agent (first in the list) last."""
    for pid in reversed(pids):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
