"""Whole trees of files that guests made: copying, measuring and deleting them from outside.

A guest may nest folders thousands deep, past Python's recursion limit and the longest path the
kernel takes. So nothing here walks a tree itself: coreutils do, with descriptors and no recursion.
What they cannot do becomes a DiskError in words that name no path of the host.
"""

import asyncio
import contextlib
import ctypes
import errno
import os
import signal
import subprocess
from pathlib import Path

from sentient_desktop.errors import DiskError
from sentient_desktop.sandbox.argv import find_masked, find_top_dirs
from sentient_desktop.sandbox.bubblewrap import chosen_program

_STATUS = {errno.ENAMETOOLONG: 400, errno.ENOSPC: 507, errno.EDQUOT: 507}
_CAUSES = {os.strerror(number): number for number in errno.errorcode}


def copy_tree(source: Path, target: Path) -> None:
    """Copy a tree with ownership, times, links, attributes and whiteouts; share blocks if able.

    A guest may own folders it cannot read itself (mode 000). An ordinary user's copy is then done
    again in a user namespace of its own, where it may read everything it owns.

    Raises:
        DiskError: it cannot be copied; nothing is left at ``target``.
    """
    command = ["cp", "-a", "--reflink=auto", "--", str(source), str(target)]
    result = run_tool(command)
    if result.returncode and os.geteuid() != 0:
        remove_tree(target)
        result = run_tool([*own_everything(), *command])
    if result.returncode:
        remove_tree(target)
        raise failure("the disk could not be copied", result)


def copy_live_tree(source: Path, target: Path) -> None:
    """Copy a desktop's tree like copy_tree(), where only the two folders and programs can be seen.

    ``cp`` opens folders by their paths, so that a guest that moves meanwhile could have it follow
    a link to anywhere.

    Raises:
        DiskError: it cannot be copied; nothing is left at ``target``.
        OSError: the same.
    """
    target.mkdir(mode=0o700)
    command = ["cp", "-a", "--reflink=auto", "--", f"{source}/.", str(target)]
    result = run_tool([*_confined(source, target, owning=False), *command])
    if result.returncode and os.geteuid() != 0:
        remove_tree(target)
        target.mkdir(mode=0o700)
        result = run_tool([*_confined(source, target, owning=True), *command])
    if result.returncode:
        remove_tree(target)
        raise failure("the disk could not be copied", result)


def give_tree(path: Path, uid: int) -> None:
    """Make ``uid`` the owner of a whole tree; for root. Clears setuid bits, which never work here.

    Raises:
        DiskError: some of it still belongs to somebody else.
    """
    result = run_tool(["chown", "-R", "-h", "-P", "--", f"{uid}:{uid}", str(path)])
    if result.returncode:
        raise failure("the files could not be given to the desktop", result)


def remove_tree(path: Path) -> None:
    """Delete a tree, folders without permissions included. Missing is fine.

    Raises:
        DiskError: some of it is still there.
    """
    command = ["rm", "-rf", "--", str(path)]
    result = run_tool(command)
    if result.returncode and os.geteuid() != 0:
        # overlayfs leaves work/work with mode 000, guests leave worse
        run_tool(["chmod", "-R", "u+rwX", "--", str(path)])
        result = run_tool(command)
    if result.returncode:
        raise failure("the files could not be deleted", result)


def disk_usage(folder: Path) -> int:
    """Sum the bytes allocated below a folder. Blocks; tolerates files that vanish meanwhile."""
    total = run_tool(["du", "-s", "--block-size=1", "--", str(folder)]).stdout.split(b"\t")[0]
    return int(total) if total.isdigit() else 0


def count_files(folder: Path) -> int:
    """Count the inodes of a tree. Blocks; 0 for one that is not there."""
    total = run_tool(["du", "-s", "--inodes", "--", str(folder)]).stdout.split(b"\t")[0]
    return int(total) if total.isdigit() else 0


def flush(path: Path) -> None:
    """Wait until everything written to the filesystem of ``path`` is on the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(fd):
            raise OSError(ctypes.get_errno(), "syncfs failed", str(path))
    finally:
        os.close(fd)


def flush_names(folder: Path) -> None:
    """Wait until the names in a folder are on the disk, with what a rename needs; no more."""
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def own_everything() -> list[str]:
    """Return the prefix that runs a program where this user may read all that is its own."""
    return [
        chosen_program(), "--unshare-user", "--uid", "0", "--gid", "0",
        "--cap-add", "CAP_DAC_OVERRIDE", "--dev-bind", "/", "/", "--die-with-parent", "--",
    ]  # fmt: skip


def _confined(source: Path, target: Path, *, owning: bool) -> list[str]:
    """Return the prefix that runs a program where it finds two folders, by their own paths.

    With ``owning`` it may read all that is this user's own, like own_everything().
    """
    prefix = [chosen_program(), "--die-with-parent", "--ro-bind", "/usr", "/usr"]
    if os.geteuid() == 0:
        prefix += ["--cap-add", "ALL"]
    elif owning:
        prefix += ["--unshare-user", "--uid", "0", "--gid", "0", "--cap-add", "CAP_DAC_OVERRIDE"]
    for path in find_masked():
        prefix += ["--tmpfs", path]
    for name, place in find_top_dirs():
        prefix += ["--ro-bind", place, f"/{name}"]
    own_files = ["--ro-bind", "/proc/self/fd", "/proc/self/fd"]  # by which libc changes modes
    folders = ["--ro-bind", str(source), str(source), "--bind", str(target), str(target)]
    return [*prefix, *own_files, *folders, "--chdir", "/", "--"]


def run_tool(command: list[str]) -> subprocess.CompletedProcess[bytes]:
    """Run a program that speaks plain English and can import this package; check nothing."""
    return subprocess.run(
        command,
        check=False,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        cwd="/",
        env=tool_environment(),
    )


async def run_tool_kindly(command: list[str]) -> subprocess.CompletedProcess[bytes]:
    """Run a program like run_tool(), but after everybody else; cancelling kills it."""
    process = await asyncio.create_subprocess_exec(
        *("nice", "-n", "10", *command),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        cwd="/",
        env=tool_environment(),
        start_new_session=True,
    )
    try:
        _, errors = await process.communicate()
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        raise
    return subprocess.CompletedProcess(command, process.returncode or 0, b"", errors)


def tool_environment() -> dict[str, str]:
    """Return variables that make programs speak plain English and find this package."""
    return os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "LC_ALL": "C"}


def failure(what: str, result: subprocess.CompletedProcess[bytes]) -> DiskError:
    """Say what failed and, when the program named a cause the kernel knows, why; no paths."""
    for line in result.stderr.decode(errors="replace").splitlines():
        cause = line.rpartition(": ")[2].strip()
        if cause in _CAUSES:
            return DiskError(f"{what}: {cause}", _STATUS.get(_CAUSES[cause], 500))
    return DiskError(f"{what} (exit code {result.returncode})")
