"""Which host uids desktops may have when the server is root: one each, shared with nobody.

The range lies above what distributions give to users, subordinate ids, containers and dynamic
services. Where the server starts in it is drawn at random per data folder, so that two servers of
one machine do not meet.
"""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from sentient_desktop.errors import ProbeError

HIGH_UIDS = range(1_900_000_000, 2_000_000_000)
"""Taken whenever it is mapped, which it is outside of containers with a user namespace."""

LOWEST_UID, NOBODY = 1000, 65_534
_FEWEST = 64
_KNOB = "/proc/sys/kernel/core_pattern"


def desktop_uids() -> range | None:
    """Return the uids desktops may take, the last two kept for the probe; None if not needed.

    An ordinary user needs none: desktops run as that user. Neither does the lone root of a user
    namespace, who is an ordinary user outside.

    Raises:
        ProbeError: this is the real root, but no other uid exists here to become.
    """
    if os.geteuid():
        return None
    uids = find_uids(Path("/proc/self/uid_map").read_text().splitlines())
    if uids is None and os.access(_KNOB, os.W_OK):
        raise ProbeError(
            "root of the host in a user namespace without other uids: a desktop would be root - "
            "map a range of uids into the container, or start it as an ordinary user"
        )
    return uids


def find_uids(uid_map: Iterable[str]) -> range | None:
    """Choose from the lines of a /proc/PID/uid_map; None when no block is large enough."""
    blocks = []
    for line in uid_map:
        first, _, count = (int(word) for word in line.split())
        blocks.append(range(first, first + count))
    if any(HIGH_UIDS.start in block and HIGH_UIDS.stop - 1 in block for block in blocks):
        return HIGH_UIDS
    # A container's block: its upper half, away from the container's own users, below nobody.
    largest = max(blocks, key=len, default=range(0))
    start = max(LOWEST_UID, largest.start + len(largest) // 2)
    stop = min(largest.stop, NOBODY) if start < NOBODY else largest.stop
    return range(start, stop) if stop - start >= _FEWEST else None


def owners_below(*folders: Path) -> set[int]:
    """Return who owns the entries of ``folders``: the uids that still have files somewhere."""
    found = set()
    for folder in folders:
        with os.scandir(folder) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):  # deleted while we look
                    found.add(entry.stat(follow_symlinks=False).st_uid)
    return found
