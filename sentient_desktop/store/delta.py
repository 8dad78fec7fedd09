"""What a layer must hold to show, laid over the last one, what changed in a writable folder since.

Two looks at the folder are compared path by path: the layer gets what is new or changed, with the
folders on the way, and whiteouts for what is gone. Folders are the same when their path is, since
their content is compared; one that hides what lies below it, and did not before, comes whole.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sentient_desktop.store.index import FOLDER, UNSURE, WHITEOUT, Folder, Index, join

MANY = 500
"""From here on, when it is most of them, copying all files at once is quicker than one by one."""


class WholeCopyError(Exception):
    """A layer over the last one cannot show the change, or not at less than a whole copy's cost."""


@dataclass
class Delta:
    """What the layer must hold; all paths are relative to its root."""

    files: list[str] = field(default_factory=list)
    whiteouts: list[str] = field(default_factory=list)
    folders: set[str] = field(default_factory=set)
    """Those whose own attributes may have changed, and all on the way to another change."""
    opaque: set[str] = field(default_factory=set)
    """Those of the folders that hide what the last layer shows there."""


def compare(before: Index, now: Index, below: Sequence[Path]) -> Delta:
    """Compare two looks at a folder that is mounted over the layers ``below``.

    Raises:
        WholeCopyError: as it says.
    """
    return _Comparison(before, now, below).run()


@dataclass(frozen=True)
class _Pair:
    """A folder as it is, to be compared with what it was."""

    path: str
    then: Folder | None
    covered: bool
    """Whether a folder on the way hides all layers below."""


class _Comparison:
    def __init__(self, before: Index, now: Index, below: Sequence[Path]) -> None:
        self._before, self._now, self._below = before, now, below
        self._delta = Delta()

    def run(self) -> Delta:
        delta = self._delta
        waiting = [_Pair("", self._before[""], covered=False)]
        while waiting:
            waiting += self._compare_entries(self._compare_folder(waiting.pop()))
        if len(delta.files) > MANY:
            total = sum(len(folder.entries) for folder in self._now.values())
            if 2 * len(delta.files) > total:
                raise WholeCopyError(f"{len(delta.files)} of {total} files changed")
        for path in [*delta.files, *delta.whiteouts, *delta.folders]:
            delta.folders.update(_ancestors(path))
        return delta

    def _compare_folder(self, pair: _Pair) -> _Pair:
        """Note a folder's own change; return what its entries are to be compared with."""
        path, then, now = pair.path, pair.then, self._now[pair.path]
        if then is None or then.mark != now.mark or now.mark == UNSURE:
            self._delta.folders.add(path)
        if then is not None and then.opaque and not now.opaque:
            self._require_nothing_below(pair, path)
        if now.opaque and not (then and then.opaque):
            self._delta.opaque.add(path)
            then = None
        return _Pair(path, then, pair.covered or now.opaque)

    def _compare_entries(self, pair: _Pair) -> Iterator[_Pair]:
        """Note what is new, changed or gone in a folder; yield the folders in it."""
        was_there = pair.then.entries if pair.then else {}
        is_there = self._now[pair.path].entries
        for name, mark in is_there.items():
            was, child = was_there.get(name), join(pair.path, name)
            if mark == FOLDER:
                if was not in (None, FOLDER) and not self._now[child].opaque:
                    self._require_nothing_below(pair, child)
                then = self._before[child] if was == FOLDER else None
                yield _Pair(child, then, pair.covered)
            elif mark == WHITEOUT:
                if was != WHITEOUT:
                    self._delta.whiteouts.append(child)
            elif mark == UNSURE or was != mark:
                self._delta.files.append(child)
        for name in was_there.keys() - is_there.keys():
            child = join(pair.path, name)
            self._require_nothing_below(pair, child)
            if was_there[name] != WHITEOUT:
                self._delta.whiteouts.append(child)

    def _require_nothing_below(self, pair: _Pair, path: str) -> None:
        """Demand that what vanished hid nothing: overlays uncover nothing that they once hid."""
        if not pair.covered and any(os.path.lexists(layer / path) for layer in self._below):
            raise WholeCopyError(f"{path} may have come to light again")


def _ancestors(path: str) -> Iterator[str]:
    while path:
        path = path.rpartition("/")[0]
        yield path
