"""What a writable folder held at one instant, so that a later look tells what changed since.

Every file is one number made of its inode, its change time, size and mode. Guests cannot set a
change time, and whatever they do to a file moves it, with two exceptions: a change within the same
tick of the clock, so a file that changed just before the look counts as changed at the next; and
writes through memory, which ``store.mapped`` deals with.
"""

import os
import stat
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from sentient_desktop.store.beneath import open_beneath, opened

TICK_NS = 20_000_000
"""No clock that file systems take their times from stands still for longer."""

COARSE_NS = 2_000_000_000
"""The same where times have whole seconds only."""

WHITEOUT, FOLDER, UNSURE = 0, 1, -1
"""Marks beside those of files; UNSURE is never equal to what is found later."""

OPAQUE = "user.overlay.opaque"


@dataclass(slots=True)
class Folder:
    """One folder: its own mark, whether it hides what lies below, and the marks of its entries."""

    mark: int
    opaque: bool
    entries: dict[str, int] = field(default_factory=dict)


Index = dict[str, Folder]
"""Every folder below a root, by its path from there; the root's own is ""."""


def read_index(root: Path, limit: int) -> Index | None:
    """Look at everything below ``root``, where nothing should move meanwhile.

    None when it is more than ``limit`` entries, which are not all looked at then.

    Raises:
        OSError: a folder cannot be read, moved, or has a path longer than the kernel takes.
    """
    now = time.clock_gettime_ns(time.CLOCK_REALTIME)
    index: Index = {}
    count, waiting = 0, [""]
    with opened(root) as top:
        while waiting:
            path = waiting.pop()
            fd = open_beneath(top, path, os.O_RDONLY)
            try:
                folder = index[path] = Folder(_mark(os.fstat(fd), now), is_opaque(fd))
                with os.scandir(fd) as listing:
                    for entry in listing:
                        if (count := count + 1) > limit:
                            return None
                        status = entry.stat(follow_symlinks=False)
                        if stat.S_ISDIR(status.st_mode):
                            folder.entries[entry.name] = FOLDER
                            waiting.append(join(path, entry.name))
                        else:
                            folder.entries[entry.name] = _mark(status, now)
            finally:
                os.close(fd)
    return index


def doubt(index: Index, paths: Iterable[str]) -> None:
    """Have these files count as changed at the next look; those that are not there are fine."""
    for path in paths:
        parent, _, name = path.rpartition("/")
        if parent in index and index[parent].entries.get(name, FOLDER) != FOLDER:
            index[parent].entries[name] = UNSURE


def join(parent: str, name: str) -> str:
    """Return the path of an entry of a folder."""
    return f"{parent}/{name}" if parent else name


def is_whiteout(status: os.stat_result) -> bool:
    """Whether an entry says that what lies below it is deleted."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def is_opaque(folder: str | int) -> bool:
    """Whether a folder, given by path or descriptor, hides all that lies below it."""
    try:
        return os.getxattr(folder, OPAQUE, follow_symlinks=isinstance(folder, int)) == b"y"
    except OSError:
        return False


def _mark(status: os.stat_result, now: int) -> int:
    if is_whiteout(status):
        return WHITEOUT  # they share inodes, whose change times say nothing
    changed = status.st_ctime_ns
    if changed > now - (TICK_NS if changed % 1_000_000_000 else COARSE_NS):
        return UNSURE
    return hash((status.st_ino, changed, status.st_size, status.st_mode))
