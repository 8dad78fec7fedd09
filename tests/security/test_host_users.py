"""A host uid a desktop: which ones, never twice at once, and what that keeps apart."""

import asyncio
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from e2b import AsyncSandbox
from layering import merged

from sentient_desktop.errors import UidError
from sentient_desktop.sandbox.uids import HIGH_UIDS, find_uids, owners_below
from sentient_desktop.store.layers import LayerStore
from sentient_desktop.store.records import DesktopRecord, new_record
from sentient_desktop.store.registry import Registry

as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root gives desktops uids of their own")


@pytest.mark.parametrize(
    ("uid_map", "found"),
    [
        (["0 0 4294967295"], HIGH_UIDS),
        (["0 1000 1", "1 100000 65536"], range(32769, 65534)),
        (["0 1000000 1000000"], range(500_000, 1_000_000)),
        (["0 1000 1"], None),
        (["1000 0 1"], None),
        ([], None),
    ],
    ids=["host", "rootless container", "large container", "lone root", "lone user", "nothing"],
)
def test_uids_are_chosen_from_what_is_mapped(uid_map: list[str], found: range | None) -> None:
    assert find_uids(uid_map) == found


def test_uids_are_never_given_twice_while_something_is_left(tmp_path: Path) -> None:
    registry, uids = Registry(tmp_path / "r.db"), range(5000, 5004)
    given = []
    for number in range(3):
        uid = registry.take_uid(uids, left={5002})
        given.append(uid)
        row = DesktopRecord(str(number), "base", "", 0, 0, 0, uid=uid)
        registry.save(row)
    assert sorted(given) == [5000, 5001, 5003]
    with pytest.raises(UidError, match="all 4 host uids"):
        registry.take_uid(uids, left={5002})
    registry.delete(row)
    assert registry.take_uid(uids, left={5002}) == given[-1]
    registry.close()


@as_root
def test_merged_layers_of_several_owners_have_one(tmp_path: Path) -> None:
    layers = LayerStore(tmp_path / "layers")
    for owner in (5001, 5002):
        folder = tmp_path / "layers" / str(owner)
        (folder / "d").mkdir(parents=True)
        (folder / "d" / f"of-{owner}").touch()
        for path in (folder, *folder.rglob("*")):
            os.chown(path, owner, owner)
    layer = merged(layers, ["5001", "5002"])
    assert {path.stat().st_uid for path in (layer, *layer.rglob("*"))} == {5002}
    assert len(list(layer.rglob("of-*"))) == 2


def _pid_of(host_uid: int, word: str) -> int:
    """Find a process of a desktop on the host, by a word of its command line."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # some other process that ended meanwhile
            mine = folder.stat().st_uid == host_uid
            if mine and word.encode() in (folder / "cmdline").read_bytes():
                return int(folder.name)
    raise AssertionError(f"{word} does not run as {host_uid}")


async def _try_as(uid: int, *program: str) -> bool:
    """Run a program on the host under a bare uid; return whether it succeeded."""
    process = await asyncio.create_subprocess_exec(
        "setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", *program,
        stderr=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    return await process.wait() == 0


@as_root
async def test_desktops_of_one_snapshot_share_files_but_no_host_uid(
    create: Any, desktop: AsyncSandbox, data_dir: Path
) -> None:
    await desktop.commands.run("mkdir -m 700 d; echo one > d/f; chmod 600 d/f; ln -s f d/l")
    snapshot = await desktop.create_snapshot(mode="filesystem")
    uids = set()
    for number in range(2):
        copy = await create(snapshot.snapshot_id)
        result = await copy.commands.run(
            f"cat d/f; echo two > d/f; rm d/l; stat -c %U d d/f; mv d e; cat e/f; id -u; "
            f"exec -a marker{number} sleep 60 & echo"
        )
        assert result.stdout == "one\nuser\nuser\ntwo\n1000\n\n"
        (uid,) = owners_below(data_dir / "desktops" / copy.sandbox_id) - {0}
        uids.add(uid)
        again = await copy.create_snapshot(mode="filesystem")
        third = await create(again.snapshot_id)  # a chain of layers with two owners
        assert (await third.commands.run("cat e/f; touch e/g; ls e")).stdout == "two\nf\ng\n"
    assert len(uids) == 2
    first, second = uids
    pids = {uid: _pid_of(uid, "marker") for uid in uids}
    mine, other = pids[first], pids[second]
    secret = f"/proc/{other}/root/home/user/e/f"
    assert await _try_as(first, "kill", "-0", str(mine)), "the twin: its own process"
    assert await _try_as(second, "kill", "-0", str(other)), "the canary: the same uid may"
    assert not await _try_as(first, "kill", "-0", str(other))
    assert not await _try_as(first, "cat", f"/proc/{other}/environ")
    assert not await _try_as(first, "cat", secret)
    for uid, pid in pids.items():
        os.kill(pid, signal.SIGKILL)
        assert uid in HIGH_UIDS


def test_last_uid_asked_for_by_many_at_once_is_given_once(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry.db")
    records = [new_record("base", timeout_s=60) for _ in range(16)]
    with ThreadPoolExecutor(len(records)) as pool:
        asked = [pool.submit(registry.save_with_uid, r, range(7000, 7001), set()) for r in records]
    assert sum(isinstance(one.exception(), UidError) for one in asked) == len(records) - 1
    assert [record.uid for record in registry.desktops()] == [7000]
    registry.close()
