"""The bounds on disk, which the kernel does not offer to everyone and which are therefore soft.

Policy. A desktop that holds more than its bound gets 507 for every write through the API, and when
it goes on growing, its commands are killed; reading, deleting and commands that free space go on.
When the file system of the data folder runs low, writes and creates get 507 everywhere, and the
desktop that grew most since the last look loses its commands.
"""

import shutil
from pathlib import Path

from sentient_desktop.errors import ApiError

_MIB = 1 << 20


def require_space(folder: Path, floor_bytes: int) -> None:
    """Demand that the file system of ``folder`` is not about to be full. Costs microseconds.

    Raises:
        ApiError: 507.
    """
    free = free_space(folder)
    if free < floor_bytes:
        raise ApiError(
            507,
            f"the server's disk has {free // _MIB} MiB left and keeps {floor_bytes // _MIB} MiB "
            "free; delete desktops or snapshots",
            retryable=False,
        )


def require_room(desktop_id: str, used: int, bound: int) -> None:
    """Demand that a desktop, when last looked at, held no more than its bound.

    Raises:
        ApiError: 507.
    """
    if used > bound:
        raise ApiError(
            507,
            f"sandbox {desktop_id} holds {used // _MIB} MiB of the {bound // _MIB} MiB of disk it "
            "may use; delete files first",
            retryable=False,
        )


def free_space(folder: Path) -> int:
    """Return the bytes still free where ``folder`` lies."""
    return shutil.disk_usage(folder).free
