"""Nothing gets out: a matrix of attempts with their expected ends, and canaries for walls."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from e2b import AsyncSandbox

from sentient_desktop import Endpoint
from sentient_desktop.errors import BootError
from sentient_desktop.sandbox.argv import Jail
from sentient_desktop.sandbox.boot import RunningJail, Spawner
from sentient_desktop.sandbox.factory import JailFactory
from sentient_desktop.sandbox.probe import explain, probe_with
from sentient_desktop.sandbox.runtime import ensure_template
from sentient_desktop.settings import Limits
from sentient_desktop.state import read_start_time
from sentient_desktop.store.layers import LayerStore, make_folder, make_skeleton


async def test_setuid_file_of_a_guest_belongs_to_no_privileged_host_user(
    desktop: AsyncSandbox, data_dir: Path
) -> None:
    await desktop.commands.run("cp /bin/id suid-id; chmod 6755 suid-id")
    (found,) = (data_dir / "desktops" / desktop.sandbox_id).rglob("suid-id")
    assert found.stat().st_uid != 0
    assert found.stat().st_uid == (os.getuid() or found.parent.stat().st_uid)


async def test_two_desktops_are_different_host_users_when_the_server_is_root(
    create: Any, data_dir: Path
) -> None:
    owners = set()
    for _ in range(2):
        desktop = await create()
        folder = data_dir / "desktops" / desktop.sandbox_id
        (profile,) = folder.rglob("home/user/.profile")
        owners.add(profile.stat().st_uid)
    assert len(owners) == (2 if os.getuid() == 0 else 1)
    assert 0 not in owners


async def test_replaced_top_folders_do_not_redirect_a_later_boot(
    create: Any, desktop: AsyncSandbox
) -> None:
    """Whatever a guest does to the folders it owns, a cold boot mounts nothing through them."""
    await desktop.commands.run(
        "rm -rf /mnt /srv /root /var; ln -s /oldroot/etc /mnt; ln -s /oldroot/tmp /var;"
        "ln -s /oldroot/root /root; rm -rf /home/user/x; mv /workspace /w; ln -s / /workspace"
    )
    snapshot = await desktop.create_snapshot(mode="filesystem")
    copy = await create(snapshot.snapshot_id)
    assert (await copy.commands.run("readlink /mnt; id -u")).stdout == "/oldroot/etc\n1000\n"


async def test_fork_bomb_leaves_server_and_agent_working(desktop: AsyncSandbox) -> None:
    handle = await desktop.commands.run(
        "bomb() { bomb | bomb & }; bomb; sleep 60", background=True, on_stderr=lambda _t: None
    )
    await desktop.files.write("still", "here")
    assert await desktop.files.read("still") == "here"
    await desktop.kill()
    await handle.disconnect()


@pytest.fixture
async def workshop(
    tmp_path: Path, server: Endpoint, data_dir: Path
) -> AsyncIterator[tuple[Spawner, JailFactory, Path]]:
    """What boots a jail without a server, below a folder only its owner may enter."""
    assert server  # it has built the template
    tmp_path.chmod(0o700)
    template = ensure_template(data_dir / "templates")
    factory = JailFactory(template, LayerStore(tmp_path / "l"), Limits())
    spawner = Spawner.start(tmp_path / "log")
    yield spawner, factory, tmp_path
    spawner.close()


def _uid() -> int | None:
    return 299_998 if os.getuid() == 0 else None


def _home(folder: Path) -> Path:
    home = folder / "desk"
    for path in (home, home / "upper", home / "work"):
        make_folder(path, _uid())
    make_skeleton(home / "upper", _uid())
    return home


async def _boot(spawner: Spawner, jail: Jail, home: Path) -> RunningJail:
    return await spawner.boot(
        jail, uid=_uid(), log=home.parent / "boot.log", on_exit=lambda _pid, _code: None
    )


async def test_probe_below_a_private_folder_reports_success(workshop: Any) -> None:
    spawner, factory, folder = workshop
    report = await probe_with(spawner, factory, folder)
    assert report.ok, report.detail
    assert not list(folder.glob("probe"))


async def test_boot_given_up_early_leaves_no_child_of_bubblewrap(workshop: Any) -> None:
    spawner, factory, folder = workshop
    children: list[tuple[int, int | None]] = []

    async def give_up(pid: int) -> None:
        path = Path(f"/proc/{pid}/task/{pid}/children")
        while not (found := path.read_text().split()):
            pass
        os.kill(pid, signal.SIGSTOP)  # most likely before it lets its child go on
        children.append((int(found[0]), read_start_time(int(found[0]))))
        raise RuntimeError("given up")

    home = _home(folder)
    for _ in range(10):
        with pytest.raises(RuntimeError, match="given up"):
            await spawner.boot(
                factory.make(home, [], overlay=True),
                uid=_uid(),
                log=folder / "log",
                on_exit=lambda _pid, _status: None,
                on_spawn=give_up,
            )
    for pid, start in children:
        for _ in range(500):
            if read_start_time(pid) != start:
                break
            await asyncio.sleep(0.01)
        assert read_start_time(pid) != start


async def test_boot_that_fails_says_why(workshop: Any) -> None:
    spawner, factory, folder = workshop
    home = _home(folder)
    jail = replace(factory.make(home, [], overlay=True), command=["/nowhere/program"])
    with pytest.raises(BootError, match="/nowhere/program"):
        await _boot(spawner, jail, home)


@pytest.mark.parametrize(
    ("message", "word"),
    [
        ("bwrap: setting up uid map: Permission denied", "AppArmor"),
        ("bwrap: No permissions to creating new namespace", "user namespaces"),
        ("bwrap: Can't mount proc on /newroot/proc", "/proc"),
    ],
)
def test_refusal_is_explained_in_one_line(message: str, word: str) -> None:
    explained = explain(message)
    assert explained.startswith(message)
    assert word in explained.removeprefix(message)
    assert "\n" not in explained
