"""Merging overlay layers by hand: the tree the kernel would show, as plain files.

Runs as a program of its own, ``python -m sentient_desktop.store.merge INTO LAYER...``, because for
an ordinary user it must run in a user namespace, and because it can then be ended at any moment.
Layers are immutable, so nothing moves meanwhile.
"""

import argparse
import os
import stat
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from sentient_desktop.errors import DiskError
from sentient_desktop.store.trees import copy_tree, give_tree, remove_tree


def merge_chain(into: Path, layers: Sequence[Path]) -> None:
    """Make ``into`` the tree that ``layers``, lowest first, show together."""
    copy_tree(layers[0], into)
    _drop_marks(into)
    for layer in layers[1:]:
        _merge(layer, into)


def _is_whiteout(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def _is_opaque(path: Path) -> bool:
    try:
        return os.getxattr(path, "user.overlay.opaque", follow_symlinks=False) == b"y"
    except OSError:
        return False


def _walk(root: Path) -> Iterable[tuple[Path, os.stat_result]]:
    """Yield everything below ``root`` with its lstat, folders before their content.

    A stack, not recursion: guests nest deeper than Python recurses. Paths fit: copying to a longer
    name is how every layer came to be.
    """
    waiting = sorted(root.iterdir(), reverse=True)
    while waiting:
        entry = waiting.pop()
        status = entry.lstat()
        yield entry, status
        if stat.S_ISDIR(status.st_mode):
            waiting += sorted(entry.iterdir(), reverse=True)


def _drop_marks(root: Path) -> None:
    """Remove whiteouts and opaque marks: at the bottom of a chain they hide nothing."""
    for path, status in list(_walk(root)):
        if _is_whiteout(status):
            path.unlink()
        elif stat.S_ISDIR(status.st_mode) and _is_opaque(path):
            os.removexattr(path, "user.overlay.opaque", follow_symlinks=False)


def _merge(layer: Path, into: Path) -> None:
    """Apply one layer the way the kernel would show it: deletions and replacements first."""
    for path, status in _walk(layer):
        target = into / path.relative_to(layer)
        if not os.path.lexists(target):
            continue
        was_dir, is_dir = stat.S_ISDIR(target.lstat().st_mode), stat.S_ISDIR(status.st_mode)
        if was_dir and (not is_dir or _is_opaque(path)):
            remove_tree(target)
        elif is_dir and not was_dir:
            target.unlink()
    subprocess.run(
        ["cp", "-a", "--reflink=auto", "--remove-destination", "--", f"{layer}/.", str(into)],
        check=True,
    )
    _drop_marks(into)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--owner", type=int, help="host uid to give everything to")
    parser.add_argument("into", type=Path)
    parser.add_argument("layers", type=Path, nargs="+")
    options = parser.parse_args()
    try:
        merge_chain(options.into, options.layers)
        if options.owner is not None:
            give_tree(options.into, options.owner)
    except DiskError as error:
        sys.exit(str(error))
