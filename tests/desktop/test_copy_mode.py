"""Desktops where overlayfs is refused: plain folders, snapshots that are whole copies."""

from pathlib import Path
from typing import Any

import pytest
from e2b import AsyncSandbox

from sentient_desktop import ensure_server, stop_server
from sentient_desktop.store.registry import Registry


@pytest.fixture
def copying(folder: Path, options_for: Any) -> dict[str, Any]:
    """SDK options of a server whose data folder was once settled on copies."""
    registry = Registry(folder / "registry.db")
    assert registry.fact("disks", "copy") == "copy"
    registry.close()
    options: dict[str, Any] = options_for(ensure_server(folder))
    return options


async def test_snapshots_as_copies_hold_and_isolate_what_they_should(
    folder: Path, copying: dict[str, Any]
) -> None:
    desktop = await AsyncSandbox.create("base", **copying)
    await desktop.files.write("f", "one")
    await desktop.commands.run("ln -s f l; mkdir -m 000 locked; mkfifo fifo; rm .profile")
    assert " / / " not in (await desktop.commands.run("grep overlay /proc/mounts || true")).stdout
    first = await desktop.create_snapshot(mode="filesystem")
    copy = await AsyncSandbox.create(first.snapshot_id, **copying)
    await desktop.files.write("f", "two")
    await copy.files.write("g", "only here")
    second = await copy.create_snapshot(mode="filesystem")
    assert await AsyncSandbox.delete_snapshot(first.snapshot_id, **copying)
    assert len(list((folder / "layers").iterdir())) == 1
    third = await AsyncSandbox.create(second.snapshot_id, **copying)
    result = await third.commands.run(
        "cat l g; stat -c %a,%U locked; test -p fifo && echo fifo; ls .profile || true"
    )
    assert result.stdout == "oneonly here0,user\nfifo\n"
    assert not await desktop.files.exists("g")
    for sandbox in (desktop, copy, third):
        assert await sandbox.kill()
    stop_server(folder)  # with the desktops of its pool
    assert list((folder / "desktops").iterdir()) == []


@pytest.mark.long
async def test_copies_live_through_pause_and_restart(folder: Path, copying: dict[str, Any]) -> None:
    desktop = await AsyncSandbox.create("base", **copying)
    await desktop.files.write("f", "kept")
    await desktop.pause(mode="filesystem")
    snapshot = await desktop.create_snapshot(mode="filesystem")
    stop_server(folder)
    ensure_server(folder)
    await desktop.connect()
    assert await desktop.files.read("f") == "kept"
    assert (await desktop.get_metrics())[-1].disk_used > 0
    restored = await AsyncSandbox.create(snapshot.snapshot_id, **copying)
    assert await restored.files.read("f") == "kept"
    assert await restored.kill()
    assert await AsyncSandbox.delete_snapshot(snapshot.snapshot_id, **copying)
    assert await desktop.kill()
    stop_server(folder)  # with the desktops of its pool
    assert [list((folder / name).iterdir()) for name in ("layers", "desktops")] == [[], []]
