"""Making the disk of a new desktop: whole, or not at all."""

from pathlib import Path

from sentient_desktop.store.layers import UNFINISHED, LayerStore, make_folder, make_skeleton
from sentient_desktop.store.records import DesktopRecord
from sentient_desktop.store.trees import copy_tree, give_tree, remove_tree


def make_disk(record: DesktopRecord, disk: Path, layers: LayerStore, *, overlay: bool) -> None:
    """Make the folder ``disk`` in the desktop's own: over its layers, a copy of them, or fresh.

    A server killed meanwhile leaves a row without a folder, which the next start takes away.

    Raises:
        DiskError: it cannot be made; nothing of it is left.
        OSError: the same.
    """
    home = disk.parent
    draft = home.with_name(home.name + UNFINISHED)
    try:
        make_folder(draft, record.uid)
        _fill(record, draft / disk.name, layers, overlay=overlay)
        draft.rename(home)
    except BaseException:
        remove_tree(draft)
        raise


def _fill(record: DesktopRecord, disk: Path, layers: LayerStore, *, overlay: bool) -> None:
    if not overlay and record.layers:
        copy_tree(layers.path(record.layers[-1]), disk)
        if record.uid is not None:
            give_tree(disk, record.uid)
        record.layers = []  # a plain disk stands on nothing once it is copied
        return
    make_folder(disk, record.uid)
    if overlay:
        make_folder(disk.parent / "work", record.uid)
    if not record.layers:
        make_skeleton(disk, record.uid)
