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
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from sentient_desktop.errors import FreezeError

FREEZE_TIMEOUT_S = 5.0

PATIENCE_S = 0.05
"""How long something may move before what it may be waiting for is looked at."""

HEAD_START_S = 0.01
"""How long a child may run on its way to exec(); twice as long each further time."""

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


def _scan_parents() -> defaultdict[int, list[int]]:
    """Return {pid: children} of the whole host, for kernels that list no children."""
    children: defaultdict[int, list[int]] = defaultdict(list)
    for entry in os.listdir("/proc"):  # noqa: PTH208 - names only
        if entry.isdigit() and (found := _stat(entry)):
            children[int(found[1])].append(int(entry))
    return children


def _child_lister() -> Callable[[int], Iterable[int]]:
    return _children if _KERNEL_LISTS_CHILDREN else _scan_parents().__getitem__


def walk_tree(root: int) -> dict[int, str]:
    """Return {pid: state letters of its threads} for ``root`` and all below it; no zombies.

    Looks at these processes alone, however many the host has.
    """
    children_of = _child_lister()
    found, queue = {}, [root]
    while queue:
        pid = queue.pop()
        if states := _states(pid):
            found[pid] = states
        queue += children_of(pid)
    return found


def freeze(init_pid: int, timeout_s: float = FREEZE_TIMEOUT_S) -> list[int]:
    """Stop pid 1 of a desktop and everything below it; return the pids that were stopped here.

    Processes the guest itself had stopped are left out of the list, so that thaw() does not wake
    them. Blocking, milliseconds.

    Raises:
        FreezeError: it is gone, or something moved for ``timeout_s``; everything was thawed again.
    """
    deadline, head_start = time.monotonic() + timeout_s, HEAD_START_S
    stopped: list[int] = []
    with contextlib.ExitStack() as undo:
        undo.callback(thaw, stopped)
        while moving := _stop(init_pid, stopped, min(deadline, time.monotonic() + PATIENCE_S)):
            if time.monotonic() > deadline:
                text = f"{len(moving)} processes were still moving after {timeout_s:g} s"
                raise FreezeError(text)
            _let_exec(moving, stopped, min(deadline, time.monotonic() + head_start))
            head_start *= 2
        undo.pop_all()
    return stopped


def _stop(init_pid: int, stopped: list[int], deadline: float) -> set[int]:
    """Stop a tree and add to ``stopped``; return who still moves then."""
    seen = set(stopped)
    stood = False
    while True:
        tree = walk_tree(init_pid)
        for pid in sorted(tree.keys() - seen, key=lambda pid: pid != init_pid):
            seen.add(pid)
            if "T" not in tree[pid]:
                stopped.append(pid)
                _signal(pid, signal.SIGSTOP)
                tree[pid] = "?"
        if not tree:
            raise FreezeError(f"process {init_pid} is gone")
        moving = {pid for pid, states in tree.items() if not set(states) <= {"T", "t"}}
        if (stood and not moving) or (moving and time.monotonic() > deadline):
            return moving
        stood = not moving
        if moving:
            time.sleep(0.0002)


def _let_exec(moving: set[int], stopped: list[int], deadline: float) -> None:
    """Wake children of who moves, take them out of ``stopped``, and wait until he stands.

    Who is in vfork() stands when his child has left his memory with exec(), which it cannot do
    when it was stopped before. Nobody else is woken: who forks without pause would be in vfork()
    again.
    """
    children_of = _child_lister()
    children = {child for pid in moving for child in children_of(pid)}.intersection(stopped)
    for pid in children:
        stopped.remove(pid)
        _signal(pid, signal.SIGCONT)
    while children and time.monotonic() < deadline:
        if all(set(_states(pid)) <= {"T", "t"} for pid in moving):
            return
        time.sleep(0.0002)


def thaw(pids: list[int]) -> None:
    """Wake processes stopped by freeze(), the agent (first in the list) last."""
    for pid in reversed(pids):
        _signal(pid, signal.SIGCONT)


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
