"""Reaching into a tree that a guest may be changing, by ways that no symbolic link leads out of.

A frozen guest should not move, but may have had a signal arranged that wakes it. So a folder that
was seen may be a link to one of the host's by the time it is opened: the kernel is asked to follow
none. What is opened that way stays the guest's, wherever it is moved.
"""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_OPENAT2 = 437
"""The number of the system call, the same on all machines."""

_NO_SYMLINKS, _BENEATH = 0x04, 0x08

_libc = ctypes.CDLL(None, use_errno=True)


class _How(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


def open_beneath(root: int, path: str, flags: int) -> int:
    """Open a folder by its path below an open one; "" is that one itself.

    Raises:
        OSError: a link is on the way, it is not a folder, or the kernel is older than 5.6.
    """
    how = _How(flags | os.O_DIRECTORY | os.O_CLOEXEC, 0, _NO_SYMLINKS | _BENEATH)
    place = os.fsencode(path or ".")
    fd: int = _libc.syscall(_OPENAT2, root, place, ctypes.byref(how), ctypes.sizeof(how))
    if fd < 0:
        raise OSError(number := ctypes.get_errno(), os.strerror(number), path)
    return fd


@contextmanager
def opened(folder: Path) -> Iterator[int]:
    """Open a folder of the server's own as a root for open_beneath()."""
    fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def entry_beneath(root: int, path: str) -> Iterator[Path]:
    """Yield a path of an entry that leads nowhere else as long as the entry itself is no link.

    So it is for calls that do not follow links.
    """
    parent, _, name = path.rpartition("/")
    fd = open_beneath(root, parent, os.O_PATH)
    try:
        yield Path(f"/proc/self/fd/{fd}", name)
    finally:
        os.close(fd)
