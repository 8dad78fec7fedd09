"""Layers: the immutable folders snapshots are made of, and the writable one above them.

A layer is a plain copy of an overlay's upper, with its whiteouts (0:0 character devices) and
``user.overlay.*`` attributes; ``cp -a`` keeps both, as an ordinary user too. A layer is complete
before it has its name, and never changes afterwards.
"""

import logging
import os
import secrets
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from sentient_desktop.errors import DiskError
from sentient_desktop.sandbox.argv import MOUNT_POINTS
from sentient_desktop.store.mapped import notices_mapped_writes
from sentient_desktop.store.trees import (
    copy_live_tree,
    count_files,
    flush,
    flush_names,
    own_everything,
    remove_tree,
)

CHAIN_LIMIT = 16
"""Chains beyond this are shortened in the background, so that lookups stay short."""

_OPTION_BYTES = 3072
"""Share of the page for the layers; the upper and the work folder need the rest."""

_NAME_BYTES = 30
"""Of one layer beside its folder: ``/oldroot``, the name, and a colon."""

UNFINISHED = ".unfinished"

_SKELETON = ("home", "home/user", "workspace", "var", "srv", "mnt", "root")
_SHARED = ("tmp", "var/tmp")
_log = logging.getLogger(__name__)

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


def remove_others(folder: Path, wanted: set[str]) -> None:
    """Delete what is in ``folder`` and not wanted, as far as that can be done."""
    for path in folder.iterdir():
        if path.name not in wanted:
            remove_logged(path)


def remove_logged(path: Path) -> None:
    """Delete a tree; what resists is logged and left for later."""
    try:
        remove_tree(path)
    except (DiskError, OSError) as error:
        _log.error("could not remove %s: %s", path, error)


def new_name() -> str:
    """Return a name no layer has had."""
    return secrets.token_hex(10)


class LayerStore:
    """All layers of one data folder. Methods block; call from a worker thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(mode=0o755, exist_ok=True)
        self._held: Counter[str] = Counter()
        self.empty = folder.parent / "empty"
        self.empty.mkdir(mode=0o755, exist_ok=True)

    def path(self, name: str) -> Path:
        """Return where a layer is."""
        return self.folder / name

    def unfinished(self, name: str) -> Path:
        """Return where a layer is made, until it is complete and gets its name."""
        return self.folder / (name + UNFINISHED)

    @cached_property
    def notices_mapped_writes(self) -> bool:
        """Whether change times tell of writes through memory here; see ``store.mapped``."""
        return notices_mapped_writes(self.folder.parent)

    @property
    def longest_chain(self) -> int:
        """How many layers one mount can have: bubblewrap's options for it must fit one page."""
        return min(2 * CHAIN_LIMIT, _OPTION_BYTES // (len(str(self.folder)) + _NAME_BYTES))

    @contextmanager
    def held(self, names: Iterable[str]) -> Iterator[Callable[[Iterable[str]], None]]:
        """Keep layers, and unfinished ones of these names, from keep_only() before a row has them.

        The block gets a function that holds more of them. Leave it under the lock that sweeps
        take: a sweep then sees the row or the hold.
        """
        held: list[str] = []

        def hold(more: Iterable[str]) -> None:
            found = list(more)
            held.extend(found)
            self._held.update(found)

        hold(names)
        try:
            yield hold
        finally:
            self._held.subtract(held)

    def copy_in(self, source: Path, name: str | None = None) -> tuple[str, Path]:
        """Copy a standing-still tree to a new, still unfinished layer: (name, path).

        Only this needs the desktop frozen; finish() may follow after it was thawed.
        """
        name = name or new_name()
        unfinished = self.unfinished(name)
        copy_live_tree(source, unfinished)
        return name, unfinished

    def finish(self, name: str, unfinished: Path) -> None:
        """Give a layer its name once its content is on the disk: flush, rename, flush."""
        flush(unfinished)
        unfinished.rename(self.path(name))
        flush_names(self.folder)

    def weigh(self, name: str) -> int:
        """Count the files and folders of a layer."""
        return count_files(self.path(name))

    def plan_merge(self, names: Sequence[str], *, bottom: bool) -> tuple[str, Path, list[str]]:
        """Return name and path of a new layer, and the program that merges others into it.

        The path is that of an unfinished one; finish() is the next step when the program succeeded.
        """
        name = new_name()
        unfinished = self.unfinished(name)
        program = [sys.executable, "-P", "-m", "sentient_desktop.store.merge"]
        if os.geteuid() == 0:
            # Each layer may have had another owner; one owner is what a mount can map.
            program += ["--owner", str(self.path(names[-1]).stat().st_uid)]
        else:
            # Like the copy, the merge must get into folders their own owner may not enter.
            program = [*own_everything(), *program]
        if bottom:
            program.append("--bottom")
        paths = [str(unfinished), *(str(self.path(layer)) for layer in names)]
        return name, unfinished, [*program, *paths]

    def keep_only(self, names: Iterable[str]) -> None:
        """Delete every layer, finished or not, that is neither named nor held.

        Each loses its name first: one that is deleted in part is never taken for a whole one.
        """
        named = set(names)
        for path in list(self.folder.iterdir()):
            if path.name not in named and not self._held[path.name.removesuffix(UNFINISHED)]:
                unfinished = self.unfinished(path.name.removesuffix(UNFINISHED))
                remove_logged(path.rename(unfinished))
