"""Files that a process holds in its memory and writes there, which need not move a change time.

The kernel notes the first write to a page since it was last written back, and no further ones. So
what is mapped shared while a disk is looked at counts as changed at the next look.
"""

import mmap
import os
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from sentient_desktop.store.index import TICK_NS

NOT_ON_DISK = ("/dev/", "/memfd:", "/SYSV", "/[aio]", "/run/")
"""Beginnings of names that the kernel gives to what is in memory only."""

DELETED = " (deleted)"


def notices_mapped_writes(folder: Path) -> bool:
    """Try whether writing to a mapped page moves the change time here; memory file systems fail.

    Blocks for more than a tick of the clock.

    Raises:
        OSError: the disk has no room for one page. The page is on it before it is mapped, because
            a write through memory that finds no room ends the whole process.
    """
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(bytes(mmap.PAGESIZE))
        file.flush()
        os.fsync(file.fileno())
        with mmap.mmap(file.fileno(), 0) as memory:
            before, _ = os.fstat(file.fileno()).st_ctime_ns, memory[0]
            time.sleep(TICK_NS / 1e9)
            memory[0] = 1
            return os.fstat(file.fileno()).st_ctime_ns != before


def find_mapped(pids: Iterable[int], disk: Path) -> set[str] | None:
    """Return the files of a disk that these processes of its desktop map shared, as paths in it.

    None when a mapped file cannot be told: it was deleted, or has further names, or a strange one.
    The processes must stand still.
    """
    found: set[str] = set()
    for pid in pids:
        try:
            lines = _read_maps(pid).split("\n")
        except ProcessLookupError:
            continue
        except OSError:
            return None
        for line in lines:
            fields = line.split(maxsplit=5)
            if len(fields) < 6 or fields[1][3] != "s" or fields[5].startswith(NOT_ON_DISK):
                continue
            path = fields[5].removeprefix("/")
            if path.endswith(DELETED) or "\\" in path:
                return None
            found.add(path)
    on_disk: set[str] = set()
    for path in found:
        try:
            links = (disk / path).lstat().st_nlink
        except OSError:
            continue  # the host's, or in a layer below, which nobody writes to
        if links > 1:
            return None
        on_disk.add(path)
    return on_disk


def _read_maps(pid: int) -> str:
    """Return a process's mappings as its living threads show them.

    That thread which is the process may be dead, and shows none then.

    Raises:
        OSError: they cannot be read.
    """
    for thread in sorted(Path(f"/proc/{pid}/task").iterdir()):
        if text := (thread / "maps").read_text(errors="surrogateescape"):
            return text
    return ""
