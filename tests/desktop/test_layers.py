"""Layers as plain folders: merging a chain by hand gives what the kernel would show."""

import os
from pathlib import Path

import pytest
from layering import merged

from sentient_desktop.store.layers import LayerStore
from sentient_desktop.store.trees import copy_tree, remove_tree


@pytest.fixture
def store(tmp_path: Path) -> LayerStore:
    return LayerStore(tmp_path / "layers")


def _layer(store: LayerStore, tmp_path: Path, **files: str | None) -> str:
    """Make a layer; None is a whiteout, a name ending in ``__`` an opaque folder."""
    source = tmp_path / "source"
    source.mkdir()
    for name, text in files.items():
        path = source / name.replace("__", "/").rstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("__"):
            path.mkdir(exist_ok=True)
            os.setxattr(path, "user.overlay.opaque", b"y")
        elif text is None:
            os.mknod(path, 0o020000, 0)
        else:
            path.write_text(text)
    name, unfinished = store.copy_in(source)
    store.finish(name, unfinished)
    remove_tree(source)
    return name


def _content(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): path.read_text()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def test_merge_applies_deletions_replacements_and_opaque_folders(
    store: LayerStore, tmp_path: Path
) -> None:
    chain = [
        _layer(store, tmp_path, a="1", d__x="1", d__y="1", file="f", folder__in="1", keep="1"),
        _layer(store, tmp_path, a="2", d__="", d__z="2", file__below="now a folder", folder="file"),
        _layer(store, tmp_path, keep=None, new="3"),
    ]
    merged_layer = merged(store, chain)
    assert _content(merged_layer) == {
        "a": "2", "d/z": "2", "file/below": "now a folder", "folder": "file", "new": "3",
    }  # fmt: skip
    assert "user.overlay.opaque" not in os.listxattr(merged_layer / "d")
    assert merged_layer.stat().st_mtime_ns == store.path(chain[-1]).stat().st_mtime_ns
    assert _content(store.path(chain[0]))["keep"] == "1"


def test_merge_of_upper_layers_goes_on_hiding_what_each_of_them_hid(
    store: LayerStore, tmp_path: Path
) -> None:
    bottom = _layer(store, tmp_path, gone="1", d__x="1", e__x="1", f__x="1", g__x="1", back="1")
    run = [
        _layer(store, tmp_path, gone=None, e__="", e__y="2", f="file", g__y="2", back=None),
        _layer(store, tmp_path, d__="", d__z="3", e__w="3", f__z="3", g__x=None, back="3"),
    ]
    upper = merged(store, run, bottom=False)
    shown = merged(store, [bottom, upper.name])
    assert _content(shown) == _content(merged(store, [bottom, *run]))
    assert _content(shown) == {
        "back": "3", "d/z": "3", "e/w": "3", "e/y": "2", "f/z": "3", "g/y": "2",
    }  # fmt: skip


def test_merge_does_not_follow_a_link_out_of_the_tree(store: LayerStore, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "victim").write_text("untouched")
    source = tmp_path / "bottom"
    source.mkdir()
    (source / "d").symlink_to(outside)
    name, unfinished = store.copy_in(source)
    store.finish(name, unfinished)
    top = _layer(store, tmp_path, d__victim="changed")
    merged_layer = merged(store, [name, top])
    assert (merged_layer / "d/victim").read_text() == "changed"
    assert (outside / "victim").read_text() == "untouched"


def test_copy_keeps_links_modes_and_whiteouts(store: LayerStore, tmp_path: Path) -> None:
    source = tmp_path / "tree"
    source.mkdir()
    (source / "f").write_text("x")
    (source / "f").chmod(0o4711)
    os.link(source / "f", source / "hard")
    (source / "soft").symlink_to("f")
    os.mknod(source / "gone", 0o020000, 0)
    copy_tree(source, tmp_path / "copy")
    copied = tmp_path / "copy"
    assert (copied / "f").stat().st_mode & 0o7777 == 0o4711
    assert (copied / "f").stat().st_ino == (copied / "hard").stat().st_ino
    assert (copied / "soft").readlink() == Path("f")
    assert (copied / "gone").lstat().st_rdev == 0


def test_keep_only_deletes_the_rest_and_unfinished_ones(store: LayerStore, tmp_path: Path) -> None:
    kept, dropped = (_layer(store, tmp_path, f=str(n)) for n in range(2))
    source = tmp_path / "half"
    source.mkdir()
    _, unfinished = store.copy_in(source)
    store.keep_only([kept])
    assert store.path(kept).exists()
    assert not store.path(dropped).exists()
    assert not unfinished.exists()


def test_remove_tree_without_permissions_succeeds(tmp_path: Path) -> None:
    (tmp_path / "t/locked/inner").mkdir(parents=True)
    (tmp_path / "t/locked").chmod(0)
    remove_tree(tmp_path / "t")
    assert not (tmp_path / "t").exists()
