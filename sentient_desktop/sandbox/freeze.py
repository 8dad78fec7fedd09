"""Bringing every process of a desktop to a standstill from outside, and waking it again.

Signals instead of a cgroup freezer, because they need no privilege. The walk repeats until it
meets nobody new: a process may fork between being seen and being stopped, but its child is then
found in the next round, and a stopped parent has no further children. The kernel may leave a child
out of a list while one of its siblings dies, which standing siblings do not: the rounds that end
the walk met nobody moving, so their lists are whole. Two of them, because a thread may start
another after its process's list was read and before it is seen standing itself.

Every thread is looked at: one in the middle of a long write() stands only when that is done.
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from sentient_desktop.errors import FreezeError

FREEZE_TIMEOUT_S = 5.0

PATIENCE_S = 0.05
"""How long a first try may take; each further one twice as long."""

_KERNEL_LISTS_CHILDREN = Path(f"/proc/self/task/{os.getpid()}/children").exists()


def _stat(place: str) -> list[str] | None:
    """Return what the kernel tells of a process or thread after its name; None when it is gone."""
    try:
        text = Path("/proc", place, "stat").read_text(errors="replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()


def _states(pid: int) -> str:
    """Return the state letters of a process's threads, dead ones left out; none when it is gone."""
    if (leader := _stat(str(pid))) is None:
        return ""
    states = leader[0]
    if int(leader[17]) > 1:  # the number of threads
        try:
            threads = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208 - names only
        except OSError:
            return ""
        found = (_stat(f"{pid}/task/{thread}") for thread in threads)
        states = "".join(fields[0] for fields in found if fields)
    return states.replace("Z", "").replace("X", "")


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
            children.setdefault(int(found[1]), []).append(int(entry))
    return children


def walk_tree(root: int) -> dict[int, str]:
    """Return {pid: state letters of its threads} for ``root`` and all below it; no zombies.

    Looks at these processes alone, however many the host has.
    """
    listing = None if _KERNEL_LISTS_CHILDREN else _scan_parents()
    found, queue = {}, [root]
    while queue:
        pid = queue.pop()
        if states := _states(pid):
            found[pid] = states
        queue += _children(pid) if listing is None else listing.get(pid, [])
    return found


def freeze(init_pid: int, timeout_s: float = FREEZE_TIMEOUT_S) -> list[int]:
    """Stop pid 1 of a desktop and everything below it; return the pids that were stopped here.

    Processes the guest itself had stopped are left out of the list, so that thaw() does not wake
    them. Blocking, milliseconds. Who waits in vfork() for a child that was stopped too early would
    move for ever, so that after a while all are woken and stopped anew.

    Raises:
        FreezeError: something was moving for ``timeout_s``; everything was thawed again.
    """
    deadline, patience = time.monotonic() + timeout_s, PATIENCE_S
    while True:
        stopped: list[int] = []
        moving = _stop(init_pid, stopped, min(deadline, time.monotonic() + patience))
        if not moving:
            return stopped
        thaw(stopped)
        if time.monotonic() > deadline or moving < 0:
            raise FreezeError(f"{max(moving, 0)} processes were still moving after {timeout_s:g} s")
        patience *= 2


def _stop(init_pid: int, stopped: list[int], deadline: float) -> int:
    """Stop a tree and add to ``stopped``; return how many still move then, -1 for no tree."""
    seen: set[int] = set()
    stood = False
    while True:
        tree = walk_tree(init_pid)
        for pid in sorted(tree.keys() - seen, key=lambda pid: pid != init_pid):
            seen.add(pid)
            if "T" not in tree[pid]:
                stopped.append(pid)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
                tree[pid] = "?"
        if not tree:
            return -1
        moving = sum(not set(states) <= {"T", "t"} for states in tree.values())
        if stood and not moving:
            return 0
        if moving and time.monotonic() > deadline:
            return moving
        stood = not moving
        if moving:
            time.sleep(0.0002)


def thaw(pids: list[int]) -> None:
    """Wake processes stopped by freeze(), the agent (first in the list) last."""
    for pid in reversed(pids):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
