"""A guest that moves although it should stand still: its disk is read, and nothing beside it."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sentient_desktop.errors import DiskError
from sentient_desktop.store.capture import Captures
from sentient_desktop.store.index import read_index
from sentient_desktop.store.layers import LayerStore
from sentient_desktop.store.trees import remove_tree

TRIES = 300

SWAP = """
import ctypes, os, sys
renameat2 = ctypes.CDLL(None).renameat2
one, two = (os.fsencode(path) for path in sys.argv[1:])
print(renameat2(-100, one, -100, two, 2), flush=True)
while True:
    renameat2(-100, one, -100, two, 2)
"""
"""Gives two entries each other's names, for ever."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk where a folder and a link to a folder of the host take turns in one name."""
    host, disk = tmp_path / "host", tmp_path / "disk"
    host.mkdir()
    (host / "secret").write_text("secret")
    for name in ("home/folder", "home/folder/below"):
        (disk / name).mkdir(parents=True)
        (disk / name / "own").write_text("own")
    (host / "below").mkdir()
    (host / "below/secret").write_text("secret")
    (disk / "home/link").symlink_to(host)
    program = [sys.executable, "-I", "-S", "-c", SWAP]
    paths = [str(disk / "home/folder"), str(disk / "home/link")]
    with subprocess.Popen([*program, *paths], stdout=subprocess.PIPE, text=True) as swapping:
        assert swapping.stdout
        assert swapping.stdout.readline() == "0\n"
        yield disk
        swapping.kill()


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*")}


def test_look_at_a_disk_whose_folders_are_swapped_never_leads_to_the_host(disk: Path) -> None:
    looked = 0
    while looked < TRIES:
        try:
            index = read_index(disk, 100)
        except OSError:
            continue
        looked += 1
        assert index
        assert not [path for path, folder in index.items() if "secret" in folder.entries]


def test_whole_copy_of_a_disk_whose_folders_are_swapped_holds_nothing_of_the_host(
    disk: Path, tmp_path: Path
) -> None:
    store = LayerStore(tmp_path / "layers")
    for _ in range(TRIES // 10):
        try:
            _, unfinished = store.copy_in(disk)
        except DiskError:
            assert not list(store.folder.iterdir())
            continue
        assert "secret" not in names(unfinished)
        remove_tree(unfinished)


def test_copied_changes_of_a_disk_whose_folders_are_swapped_hold_nothing_of_the_host(
    disk: Path, tmp_path: Path
) -> None:
    store = LayerStore(tmp_path / "layers")
    captures = Captures(store, overlay=True)
    until = time.monotonic() + 3
    for number in range(TRIES):
        try:
            draft = captures.copy(disk, f"layer{number}", [], lambda: {"home/folder/own"})
        except DiskError:
            continue
        assert "secret" not in names(draft.unfinished)
        captures.finish(draft)
        if time.monotonic() > until:
            break
