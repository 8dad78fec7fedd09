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
from sentient_desktop.store.index import OPAQUE, is_opaque, is_whiteout
from sentient_desktop.store.trees import copy_tree, give_tree, remove_tree


def merge_chain(into: Path, layers: Sequence[Path], *, bottom: bool = True) -> None:
    """Make ``into`` the tree that ``layers``, lowest first, show together.

    Unless the lowest is the ``bottom`` of a chain, it is a layer that hides what they hide.
    """
    copy_tree(layers[0], into)
    for layer in layers[1:]:
        _merge(layer, into)
    if bottom:
        _drop_marks(into)


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
        if is_whiteout(status):
            before = path.parent.lstat()
            path.unlink()
            os.utime(path.parent, ns=(before.st_atime_ns, before.st_mtime_ns))
        elif stat.S_ISDIR(status.st_mode) and is_opaque(str(path)):
            os.removexattr(path, OPAQUE, follow_symlinks=False)


def _merge(layer: Path, into: Path) -> None:
    """Apply one layer the way the kernel would show it: deletions and replacements first."""
    covering = []
    for path, status in _walk(layer):
        target = into / path.relative_to(layer)
        if not os.path.lexists(target):
            continue
        was_dir, is_dir = stat.S_ISDIR(target.lstat().st_mode), stat.S_ISDIR(status.st_mode)
        if was_dir and (not is_dir or is_opaque(str(path))):
            remove_tree(target)
        elif is_dir and not was_dir:
            target.unlink()
            covering.append(target)
    subprocess.run(
        ["cp", "-a", "--reflink=auto", "--remove-destination", "--", f"{layer}/.", str(into)],
        check=True,
    )
    for target in covering:  # what was there hid all below it, and so must the folder
        os.setxattr(target, OPAQUE, b"y", follow_symlinks=False)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--owner", type=int, help="host uid to give everything to")
    parser.add_argument("--bottom", action="store_true", help="nothing lies below the lowest")
    parser.add_argument("into", type=Path)
    parser.add_argument("layers", type=Path, nargs="+")
    options = parser.parse_args()
    try:
        merge_chain(options.into, options.layers, bottom=options.bottom)
        if options.owner is not None:
            give_tree(options.into, options.owner)
    except DiskError as error:
        sys.exit(str(error))
