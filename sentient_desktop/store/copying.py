"""Writing a delta to a layer, with the attributes, links and holes that ``cp -a`` keeps too."""

import errno
import os
import stat
from pathlib import Path

from sentient_desktop.store.delta import Delta
from sentient_desktop.store.index import OPAQUE

_UNSUPPORTED = (errno.ENOTSUP, errno.EPERM, errno.EINVAL)


def write_delta(delta: Delta, source: Path, target: Path) -> None:
    """Make ``target``, which must not exist, the layer that ``delta`` describes of ``source``.

    Raises:
        OSError: something could not be read or written; ``target`` may be there in part.
    """
    folders = sorted(delta.folders | {""}, key=lambda path: path.count("/") if path else -1)
    for path in folders:
        (target / path).mkdir(mode=0o700)
    linked: dict[int, Path] = {}
    for path in delta.files:
        _copy_entry(source / path, target / path, linked)
    owner = source.lstat()
    for path in delta.whiteouts:
        os.mknod(target / path, stat.S_IFCHR, os.makedev(0, 0))
        _own(target / path, owner)
    for path in reversed(folders):  # the attributes last: writing into a folder changes its times
        _copy_attributes(source / path, target / path, opaque=path in delta.opaque)


def _copy_entry(source: Path, target: Path, linked: dict[int, Path]) -> None:
    status = source.lstat()
    if status.st_nlink > 1:
        if status.st_ino in linked:
            target.hardlink_to(linked[status.st_ino])
            return
        linked[status.st_ino] = target
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFREG:
        _copy_content(source, target, status.st_size)
    elif kind == stat.S_IFLNK:
        target.symlink_to(source.readlink())
    elif kind in (stat.S_IFIFO, stat.S_IFSOCK):
        os.mknod(target, kind | 0o600)
    else:
        raise OSError(errno.EINVAL, "no such file can be in a desktop", str(source))
    _copy_attributes(source, target)


def _copy_content(source: Path, target: Path, size: int) -> None:
    """Copy what a file holds, holes left out; file systems that can share blocks do."""
    reading = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NOATIME | os.O_CLOEXEC)
    try:
        writing = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(writing, size)
            at = 0
            while at < size:
                try:
                    at = os.lseek(reading, at, os.SEEK_DATA)
                except OSError as error:
                    if error.errno == errno.ENXIO:  # a hole up to the end
                        return
                    raise
                end = os.lseek(reading, at, os.SEEK_HOLE)
                while at < end:
                    at += os.copy_file_range(reading, writing, end - at, at, at)
        finally:
            os.close(writing)
    finally:
        os.close(reading)


def _copy_attributes(source: Path, target: Path, *, opaque: bool = True) -> None:
    status = source.lstat()
    _own(target, status)
    for name in os.listxattr(source, follow_symlinks=False):
        if name == OPAQUE and not opaque:
            continue
        value = os.getxattr(source, name, follow_symlinks=False)
        try:
            os.setxattr(target, name, value, follow_symlinks=False)
        except OSError as error:
            if name.startswith("user.") or error.errno not in _UNSUPPORTED:
                raise
    if not stat.S_ISLNK(status.st_mode):
        target.chmod(stat.S_IMODE(status.st_mode))
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns), follow_symlinks=False)


def _own(target: Path, status: os.stat_result) -> None:
    if os.geteuid() == 0:
        os.chown(target, status.st_uid, status.st_gid, follow_symlinks=False)
