"""Whole trees inside the desktop, however deep: nothing here recurses."""

import os
import stat

from sentient_desktop.sandbox.guest.wire import CHUNK, Refused

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def make_folders(path: str) -> None:
    """Make a folder with its parents, those that exist left as they are."""
    missing = []
    while not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    for folder in reversed(missing):
        try:
            os.mkdir(folder)
        except FileExistsError:
            if not os.path.isdir(folder):
                raise Refused("ENOTDIR", f"path is not a directory: {folder}") from None


def copy_tree(source: str, target: str) -> None:
    """Copy what rename() cannot move: overlayfs refuses to rename folders of lower layers."""
    pending, folders = [(source, target)], []
    while pending:
        old, new = pending.pop()
        status = os.lstat(old)
        if stat.S_ISDIR(status.st_mode):
            os.mkdir(new, 0o700)
            folders.append((new, status))
            pending += [(f"{old}/{name}", f"{new}/{name}") for name in os.listdir(old)]
        elif stat.S_ISLNK(status.st_mode):
            os.symlink(os.readlink(old), new)
        elif stat.S_ISREG(status.st_mode):
            _copy_file(old, new, status)
        else:
            os.mknod(new, status.st_mode)
    for folder, status in reversed(folders):  # filling a folder changes its time
        os.chmod(folder, stat.S_IMODE(status.st_mode))
        os.utime(folder, ns=(status.st_atime_ns, status.st_mtime_ns))


def _copy_file(source: str, target: str, status: os.stat_result) -> None:
    reader = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    writer = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        while os.sendfile(writer, reader, None, CHUNK):
            pass
        os.fchmod(writer, stat.S_IMODE(status.st_mode))
        os.utime(writer, ns=(status.st_atime_ns, status.st_mtime_ns))
    finally:
        os.close(reader)
        os.close(writer)


class _Descent:
    """A way down a tree by one descriptor, so that neither depth nor path length is bounded.

    Going up uses "..", checked against the folder that was left, which others may have moved.
    """

    def __init__(self, path: str) -> None:
        self.fd = os.open(path, _FOLDER)
        self._above: list[tuple[str, int]] = []

    def down(self, name: str) -> None:
        below = os.open(name, _FOLDER, dir_fd=self.fd)
        self._above.append((name, os.fstat(self.fd).st_ino))
        os.close(self.fd)
        self.fd = below

    def up(self) -> str | None:
        """Go up; return the name of the folder that was left, None at the top."""
        if not self._above:
            return None
        name, number = self._above.pop()
        above = os.open("..", _FOLDER, dir_fd=self.fd)
        os.close(self.fd)
        self.fd = above
        if os.fstat(above).st_ino != number:
            raise Refused("EBUSY", f"folder {name} was moved while it was being deleted")
        return name


def _delete_files(folder: int) -> list[str]:
    """Delete what is directly in a folder; return the names of the folders that stay."""
    stay = []
    with os.scandir(folder) as found:
        entries = list(found)
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            stay.append(entry.name)
        else:
            os.unlink(entry.name, dir_fd=folder)
    return stay


def delete_tree(path: str) -> None:
    """Delete a file, a link or a whole folder, never following links."""
    if not stat.S_ISDIR(os.lstat(path).st_mode):
        os.unlink(path)
        return
    way = _Descent(path)
    try:
        left = [_delete_files(way.fd)]
        while left:
            if left[-1]:
                way.down(left[-1].pop())
                left.append(_delete_files(way.fd))
            else:
                left.pop()
                if (name := way.up()) is not None:
                    os.rmdir(name, dir_fd=way.fd)
    finally:
        os.close(way.fd)
    os.rmdir(path)
