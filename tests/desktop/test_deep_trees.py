"""Trees deeper than recursion and longer than paths: made by a guest, survived by the server."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import e2b
import pytest
from e2b import AsyncSandbox

from sentient_desktop import ensure_server, find_server, stop_server
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


@pytest.mark.parametrize(("depth", "name"), TREES.values(), ids=TREES)
async def test_kill_of_a_deep_tree_removes_it_and_spares_the_rest(
    folder: Path, options_for: Any, depth: int, name: str
) -> None:
    options = options_for(ensure_server(folder))
    digger, bystander = [await AsyncSandbox.create("base", **options) for _ in range(2)]
    await _dig(digger, depth, name)
    assert (await digger.get_metrics())[0].disk_used > 0
    assert await digger.kill()
    assert await bystander.kill()
    assert list((folder / "desktops").iterdir()) == []


@pytest.mark.parametrize(("depth", "name"), TREES.values(), ids=TREES)
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
    assert [path.name for path in (folder / "desktops").iterdir()] == [digger.sandbox_id]
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


def test_flatten_of_deep_layers_merges_them(tmp_path: Path) -> None:
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
    merged = store.path(store.flatten(names))
    assert sorted(path.name for path in (merged / "d/d").iterdir()) == ["b", "d"]
    assert disk_usage(merged) > 0
    remove_tree(merged)
    assert not merged.exists()


@pytest.fixture
def stubborn(folder: Path) -> Iterator[Path]:
    """A folder nobody owns and nobody can remove: something is mounted below it."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    ensure_server(folder)
    stop_server(folder)
    path = folder / "desktops/i0/mounted"
    path.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(path)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    yield path
    subprocess.run(["umount", str(path)], check=True)


async def test_start_over_a_folder_that_resists_logs_it_and_serves(
    folder: Path, stubborn: Path, options_for: Any
) -> None:
    (folder / "desktops/i1").mkdir()
    desktop = await AsyncSandbox.create("base", **options_for(ensure_server(folder)))
    assert stubborn.exists()
    assert not (folder / "desktops/i1").exists()
    assert "could not remove" in (folder / "server.log").read_text()
    assert await desktop.kill()


async def test_kill_of_files_that_resist_leaves_them_for_the_next_start(
    folder: Path, stubborn: Path, options_for: Any
) -> None:
    options = options_for(ensure_server(folder))
    desktop = await AsyncSandbox.create("base", **options)
    home = folder / "desktops" / desktop.sandbox_id
    inside = home / "mounted"
    inside.mkdir()
    subprocess.run(["mount", "--bind", str(stubborn), str(inside)], check=True)
    try:
        assert await desktop.kill()
        assert not await desktop.kill()
        assert home.exists()
    finally:
        subprocess.run(["umount", str(inside)], check=True)
    stop_server(folder)
    ensure_server(folder)
    assert not home.exists()


async def test_crash_during_boot_leaves_the_jail_in_the_registry(
    folder: Path, options_for: Any
) -> None:
    from sentient_desktop.store.registry import Registry  # noqa: PLC0415

    options = options_for(ensure_server(folder))
    creating = asyncio.create_task(AsyncSandbox.create("base", **options))
    registry = Registry(folder / "registry.db")
    seen = set()
    while not creating.done():
        seen |= {(r.monitor_pid > 0, r.init_pid > 0) for r in registry.desktops()}
        await asyncio.sleep(0)
    registry.close()
    await creating
    assert find_server(folder)
    assert (True, False) in seen
