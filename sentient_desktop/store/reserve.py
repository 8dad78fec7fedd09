"""A little of the disk kept back, so that on a full one rows can still be deleted and space freed.

Deleting a row makes SQLite's log grow first. Without a reserve, a full disk would refuse the very
calls that free it, and the server's next start.
"""

import logging
import os
from pathlib import Path

_log = logging.getLogger(__name__)

RESERVE_BYTES = 1 << 20


class Reserve:
    """One file of a data folder. Methods block, far under a millisecond."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def spend(self) -> bool:
        """Give the space back to the disk; return whether there was any."""
        try:
            self._path.unlink()
        except FileNotFoundError:
            return False
        return True

    def balance(self) -> None:
        """Keep space back if the disk has plenty; give it back if the disk has none."""
        status = os.statvfs(self._path.parent)
        free = status.f_bavail * status.f_frsize
        if free < RESERVE_BYTES:
            self.spend()
        elif free >= 4 * RESERVE_BYTES and not self._made():
            self._fill()

    def _made(self) -> bool:
        """Whether all of it is there: a server may have been killed before it had its space."""
        try:
            return self._path.stat().st_blocks * 512 >= RESERVE_BYTES
        except FileNotFoundError:
            return False

    def _fill(self) -> None:
        """Take the space if it can be had; a server goes on without."""
        try:
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            _log.warning("no space can be kept back: %s", error)
            return
        try:
            os.posix_fallocate(fd, 0, RESERVE_BYTES)
        except OSError:
            self._path.unlink()
        finally:
            os.close(fd)
