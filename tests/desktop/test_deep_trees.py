"""Trees deeper than recursion and longer than paths: made by a guest, survived by the server."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import e2b
import pytest
from e2b import AsyncSandbox
from layering import merged

from sentient_desktop import ensure_server, stop_server
from sentient_desktop.store.layers import LayerStore
from sentient_desktop.store.trees import disk_usage, remove_tree

DIG = "import os\nfor i in range({depth}):\n    os.mkdir({name!r}); os.chdir({name!r})\n"
TREES = {"deep": (1500, "d"), "deeper": (6000, "d"), "long": (2000, "n" * 200)}


@pytest.fixture(autouse=True)
def _cleared(tmp_path: Path) -> Iterator[None]:
    """Leave nothing to pytest, whose own removal recurses."""
    yield
    remove_tree(tmp_path)


async def _dig(desktop: AsyncSandbox, depth: int, name: str) -> None:
    await desktop.files.write("dig.py", DIG.format(depth=depth, name=name))
    await desktop.commands.run("python dig.py && rm dig.py")


every_tree = pytest.mark.parametrize(
    ("depth", "name"),
    [
        pytest.param(*tree, id=name, marks=[pytest.mark.long] if name != "deep" else [])
        for name, tree in TREES.items()
    ],
)


@every_tree
async def test_kill_of_a_deep_tree_removes_it_and_spares_the_rest(
    folder: Path, options_for: Any, depth: int, name: str
) -> None:
    options = options_for(ensure_server(folder))
    digger, bystander = [await AsyncSandbox.create("base", **options) for _ in range(2)]
    await _dig(digger, depth, name)
    assert (await digger.get_metrics())[-1].disk_used > 0
    assert await digger.kill()
    assert await bystander.kill()
    stop_server(folder)  # with the desktops of its pool
    assert list((folder / "desktops").iterdir()) == []


@pytest.mark.long
@every_tree
async def test_server_restarted_over_deep_trees_starts_and_sweeps_them(
    folder: Path, options_for: Any, depth: int, name: str
) -> None:
    options = options_for(ensure_server(folder))
    digger = await AsyncSandbox.create("base", **options)
    await _dig(digger, depth, name)
    stop_server(folder)
    for unowned in ("desktops/i0", "layers/orphan"):
        (folder / unowned).mkdir()
        _dig_here(folder / unowned, depth, name)
    assert options_for(ensure_server(folder)) == options
    assert list((folder / "layers").iterdir()) == []
    left = {path.name for path in (folder / "desktops").iterdir()}  # the pool's new ones as well
    assert digger.sandbox_id in left
    assert "i0" not in left
    assert await digger.kill()


def _dig_here(folder: Path, depth: int, name: str) -> None:
    program = DIG.format(depth=depth, name=name)
    subprocess.run(["python3", "-c", program], cwd=folder, check=True)


async def test_snapshot_of_a_deep_tree_restores_it_and_can_be_deleted(
    create: Any, desktop: AsyncSandbox, options: dict[str, Any]
) -> None:
    await _dig(desktop, *TREES["deep"])
    snapshot = await desktop.create_snapshot(mode="filesystem")
    copy = await create(snapshot.snapshot_id)
    assert (await copy.commands.run("find . -type d -name d | wc -l")).stdout == "1500\n"
    await copy.kill()
    assert await AsyncSandbox.delete_snapshot(snapshot.snapshot_id, **options)


async def test_snapshot_of_paths_too_long_to_copy_is_refused_without_host_paths(
    desktop: AsyncSandbox, data_dir: Path
) -> None:
    before = sorted((data_dir / "layers").iterdir())
    await _dig(desktop, *TREES["long"])
    with pytest.raises(e2b.SandboxException) as caught:
        await desktop.create_snapshot(mode="filesystem")
    assert "the disk could not be copied: File name too long" in str(caught.value)
    assert str(data_dir) not in str(caught.value)
    assert sorted((data_dir / "layers").iterdir()) == before
    assert (await desktop.commands.run("echo thawed")).stdout == "thawed\n"


@pytest.mark.long
def test_merge_of_deep_layers_shows_both(tmp_path: Path) -> None:
    store = LayerStore(tmp_path / "layers")
    names = []
    for file in ("a", "b"):
        source = tmp_path / file
        source.mkdir()
        _dig_here(source, 1500, "d")
        (source / "d/d" / file).write_text(file)
        if file == "b":
            os.setxattr(source / "d/d", "user.overlay.opaque", b"y")
        name, unfinished = store.copy_in(source)
        store.finish(name, unfinished)
        names.append(name)
    layer = merged(store, names)
    assert sorted(path.name for path in (layer / "d/d").iterdir()) == ["b", "d"]
    assert disk_usage(layer) > 0
    remove_tree(layer)
    assert not layer.exists()


async def test_file_calls_on_a_tree_of_any_depth_work_or_say_why(desktop: AsyncSandbox) -> None:
    await _dig(desktop, 1050, "d")
    listing = await desktop.files.list("/home/user", depth=5000)
    assert [len(entry.path.split("/d")) - 1 for entry in listing if entry.name == "d"][-1] == 1050
    await desktop.files.rename("d", "moved/d")
    assert await desktop.files.make_dir("x/" * 1050)
    await desktop.files.write("y/" * 1050 + "leaf", "reached")
    assert await desktop.files.read("y/" * 1050 + "leaf") == "reached"
    for path in ("moved", "x", "y"):
        await desktop.files.remove(path)
        assert not await desktop.files.exists(path)


async def test_remove_goes_deeper_than_paths_are_long(desktop: AsyncSandbox) -> None:
    await _dig(desktop, *TREES["long"])
    with pytest.raises(e2b.InvalidArgumentException, match="File name too long"):
        await desktop.files.list("/home/user", depth=3000)
    await desktop.files.remove("n" * 200)
    assert not await desktop.files.exists("n" * 200)


@pytest.mark.long
async def test_move_of_a_deep_folder_from_a_snapshot_copies_it_whole(
    create: Any, desktop: AsyncSandbox
) -> None:
    await _dig(desktop, 1050, "d")
    snapshot = await desktop.create_snapshot(mode="filesystem")
    copy = await create(snapshot.snapshot_id)
    await copy.files.rename("d", "m")
    found = await copy.commands.run("find . -type d -name d | wc -l; ls -d d 2>/dev/null || true")
    assert found.stdout == "1049\n"
