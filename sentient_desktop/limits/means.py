"""Choosing, at start, the best means this machine offers to bound a desktop.

In this order: a writable, delegated cgroup v2; a scope of the user's systemd; cgroup v1, for root;
and where none is allowed, resource limits with a watchdog. A means is taken only after a group was
really made with it.
"""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from sentient_desktop.errors import LaunchError
from sentient_desktop.limits.cgroup import Cgroups, Hierarchy
from sentient_desktop.settings import Limits

NAMES = ("cgroup2", "systemd", "cgroup1", "watchdog")
CONTROLLERS = ("cpu", "memory", "pids")
NEEDED = frozenset({"memory", "pids"})
"""A means without these two is not worth its name; processor time is shared fairly anyway."""

SCOPE = ("systemd-run", "--user", "--scope", "--quiet", "--collect", "--property=Delegate=yes")

SCOPE_TIMEOUT_S = 3.0

_HOST_GROUP = "sentient-host"
"""v2 allows processes only in leaves, so whoever was in the delegated group moves to this one."""


def choose_means(
    wished: str, limits: Limits, data_dir: Path, spawner_pid: int, *, scoped: bool
) -> Cgroups:
    """Return the best means; ``wished`` is ``auto`` or one of NAMES.

    ``spawner_pid`` is the parent of all desktops, ``scoped`` whether systemd was asked to put it in
    a scope of its own; blocks until that happened.

    Raises:
        LaunchError: the one wished is not offered here.
    """
    finders: dict[str, Callable[[], list[Hierarchy]]] = {
        "cgroup2": lambda: find_delegated("self", [os.getpid(), spawner_pid]),
        "systemd": lambda: find_delegated(str(spawner_pid), [spawner_pid]),
        "cgroup1": find_v1,
        "watchdog": list,
    }
    for name in NAMES if wished == "auto" else (wished,):
        if name == "systemd" and not (scoped and _in_scope(spawner_pid)):
            continue
        hierarchies = finders[name]()
        means = Cgroups(name, hierarchies, limits, data_dir)
        if name == "watchdog" or (hierarchies and _works(means)):
            return means
    raise LaunchError(f"limits by {wished} are not possible on this machine; use --limits auto")


def scope_prefix(wished: str) -> Sequence[str]:
    """Return what to put before the spawner's command line so that it gets a scope of its own.

    Empty when systemd is not wished or not needed, or its user manager does not answer.
    """
    if wished not in ("auto", "systemd") or os.geteuid() == 0 or not shutil.which(SCOPE[0]):
        return ()
    if wished == "auto" and _delegated_controllers(own_group("self")) >= NEEDED:
        return ()
    try:
        trial = subprocess.run(
            [*SCOPE, "true"], check=False, capture_output=True, stdin=subprocess.DEVNULL, timeout=5
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return () if trial.returncode else SCOPE


def own_group(process: str) -> Path | None:
    """Return the folder of a process's v2 group, or None when it cannot be seen from here."""
    return _folder_of(process, "", "cgroup2")


def find_delegated(process: str, members: Sequence[int]) -> list[Hierarchy]:
    """Take over the v2 group of a process, moving ``members`` to a leaf; [] when not allowed."""
    folder = own_group(process)
    controllers = _delegated_controllers(folder)
    if folder is None or not controllers >= NEEDED:
        return []
    wanted = controllers & frozenset(CONTROLLERS)
    try:
        enabled = frozenset((folder / "cgroup.subtree_control").read_text().split())
        if missing := wanted - enabled:
            _move_to_leaf(folder, members)
            text = " ".join(f"+{name}" for name in sorted(missing))
            (folder / "cgroup.subtree_control").write_text(text)
    except OSError:  # other processes are in the group, or it is not ours to change
        _move_back(folder, members)
        return []
    return [Hierarchy(folder, wanted, unified=True)]


def find_v1() -> list[Hierarchy]:
    """Return what root may use of v1, with v2's freezer where both are mounted; [] for others."""
    found: dict[Path, set[str]] = {}
    for name in CONTROLLERS:
        folder = _folder_of("self", name, "cgroup")
        if folder is not None and os.access(folder, os.W_OK):
            found.setdefault(folder, set()).add(name)
    if not frozenset(name for names in found.values() for name in names) >= NEEDED:
        return []
    hierarchies = [
        Hierarchy(path, frozenset(names), unified=False) for path, names in found.items()
    ]
    freezer = own_group("self")
    if freezer is not None and os.access(freezer, os.W_OK):
        hierarchies.append(Hierarchy(freezer, frozenset(), unified=True))
    return hierarchies


def _in_scope(pid: int) -> bool:
    mine, deadline = own_group("self"), time.monotonic() + SCOPE_TIMEOUT_S
    while time.monotonic() < deadline:
        group = own_group(str(pid))
        if group is not None and group != mine and group.name.endswith(".scope"):
            return True
        time.sleep(0.01)
    return False


def _delegated_controllers(folder: Path | None) -> frozenset[str]:
    if folder is None or not os.access(folder, os.W_OK):
        return frozenset()
    try:
        return frozenset((folder / "cgroup.controllers").read_text().split())
    except OSError:
        return frozenset()


def _move_to_leaf(folder: Path, members: Sequence[int]) -> None:
    if not (folder / "cgroup.type").exists():
        return  # the root group may have both processes and children
    (folder / _HOST_GROUP).mkdir(exist_ok=True)
    for pid in members:
        (folder / _HOST_GROUP / "cgroup.procs").write_text(str(pid))


def _move_back(folder: Path, members: Sequence[int]) -> None:
    with contextlib.suppress(OSError):
        for pid in members:
            (folder / "cgroup.procs").write_text(str(pid))
        (folder / _HOST_GROUP).rmdir()


def _folder_of(process: str, controller: str, kind: str) -> Path | None:
    """Return where a process's group of one hierarchy lies in the file system."""
    try:
        memberships = Path("/proc", process, "cgroup").read_text().splitlines()
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return None
    inside = None
    for line in memberships:
        _, names, path = line.split(":", 2)
        if controller in names.split(",") if controller else not names:
            inside = path
    for line in mounts:
        before, _, after = line.partition(" - ")
        root, point = before.split()[3:5]
        found, _, options = after.split()[:3]
        if inside is None or found != kind or (controller and controller not in options.split(",")):
            continue
        relative = inside.removeprefix(root.rstrip("/")).lstrip("/")
        return Path(point, relative) if (inside + "/").startswith(root) else Path(point)
    return None


def _works(means: Cgroups) -> bool:
    """Make and remove a group, which is the only honest way to know."""
    try:
        means.enclose("probe")
    except OSError:
        return False
    finally:
        means.release("probe")
    return True
