"""Writing a delta to a layer, with the attributes, links and holes that ``cp -a`` keeps too."""

import errno
import os
import stat
from contextlib import nullcontext
from pathlib import Path

from sentient_desktop.store.beneath import entry_beneath, opened
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
    with opened(source) as root:
        for path in delta.files:
            with entry_beneath(root, path) as entry:
                _copy_entry(entry, target / path, linked)
        owner = os.fstat(root)
        for path in delta.whiteouts:
            os.mknod(target / path, stat.S_IFCHR, os.makedev(0, 0))
            _own(target / path, owner)
        for path in reversed(folders):  # the attributes last: writing into one changes its times
            with entry_beneath(root, path) if path else nullcontext(source) as entry:
                _copy_attributes(entry, target / path, opaque=path in delta.opaque)


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
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NOATIME | os.O_CLOEXEC
    reading = os.open(source, flags | os.O_NONBLOCK)  # whatever took its place meanwhile
    try:
        if not stat.S_ISREG(os.fstat(reading).st_mode):
            raise OSError(errno.ESTALE, "it is another file now", str(source))
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
                    count = os.copy_file_range(reading, writing, end - at, at, at)
                    if not count:
                        raise OSError(errno.ESTALE, "it was cut off meanwhile", str(source))
                    at += count
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
