"""Capturing a desktop's writable folder, again and again: after the first time, what changed.

The look at the folder is remembered together with the chain of layers that shows the same. It is
only in memory: after a restart of the server a desktop's next capture is a whole copy.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sentient_desktop.store.copying import write_delta
from sentient_desktop.store.delta import WholeCopyError, compare
from sentient_desktop.store.index import Index, doubt, read_index
from sentient_desktop.store.layers import LayerStore
from sentient_desktop.store.trees import remove_tree

INDEX_LIMIT = 200_000
"""Entries of a folder up to which it is remembered; about 200 bytes each."""

_log = logging.getLogger(__name__)

Mapped = Callable[[], Iterable[str] | None]
"""Tells which files may change without a trace, by their paths; None when that cannot be told."""


@dataclass(frozen=True)
class Draft:
    """A capture that is still to be finished: its chain of layers, the unfinished one on top."""

    chain: list[str]
    unfinished: Path
    index: Index | None


class Captures:
    """What has been captured of one writable folder. One capture at a time; methods block."""

    def __init__(self, layers: LayerStore, *, overlay: bool) -> None:
        """Without ``overlay`` the folder is all of the disk, and every capture of it whole."""
        self._layers, self._overlay = layers, overlay
        self._last: Draft | None = None

    @property
    def chain(self) -> list[str]:
        """The layers the next capture will stand on if they are there; kept for it by no sweep."""
        return self._last.chain if self._last else []

    def copy(self, disk: Path, name: str, below: Sequence[str], mapped: Mapped) -> Draft:
        """Copy a folder that is mounted over the layers ``below`` and stands still meanwhile.

        Raises:
            DiskError: it cannot be copied; nothing is left of it.
        """
        index = self._look(disk)
        draft = self._copy_changes(disk, name, below, index)
        if draft is None:
            _, unfinished = self._layers.copy_in(disk, name)
            draft = Draft([*below, name] if self._overlay else [name], unfinished, index)
        if index is not None:
            if (doubtful := mapped()) is None:
                return replace(draft, index=None)
            doubt(index, doubtful)
        return draft

    def _look(self, disk: Path) -> Index | None:
        if not self._overlay:
            return None
        try:
            if not self._layers.notices_mapped_writes:
                return None
            return read_index(disk, INDEX_LIMIT)
        except OSError as error:
            _log.info("a disk cannot be looked at: %s", error)
            return None

    def _copy_changes(
        self, disk: Path, name: str, below: Sequence[str], index: Index | None
    ) -> Draft | None:
        last = self._last
        if last is None or last.index is None or index is None:
            return None
        if not all(self._layers.path(layer).is_dir() for layer in last.chain):
            return None  # the snapshots that stood on them are deleted
        unfinished = self._layers.unfinished(name)
        try:
            delta = compare(last.index, index, [self._layers.path(layer) for layer in below])
            write_delta(delta, disk, unfinished)
        except (WholeCopyError, OSError) as error:
            _log.info("a disk is copied whole: %s", error)
            remove_tree(unfinished)
            return None
        return Draft([*last.chain, name], unfinished, index)

    def finish(self, draft: Draft) -> None:
        """Name the layer, once it is on the disk; from now on the next capture stands on it."""
        self._layers.finish(draft.chain[-1], draft.unfinished)
        self._last = draft if draft.index is not None else None

    def shortened(self, chain: list[str]) -> None:
        """Note that ``chain`` shows the same as the last capture's, if that had the same top."""
        last = self._last
        if last is not None and last.chain[-1:] == chain[-1:]:
            self._last = replace(last, chain=chain)
