"""Marks on real desktops: who may go on in one, who has to make another, who may save nothing."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from desktops import kill_desktops

from checkpoints.binding import Binding, DesktopRef
from checkpoints.lease import Lease, ThreadBusyError, take_lease
from checkpoints.ledger import Ledger
from nodes.desktops import OWNER, ROLE, ThreadDesktops
from tools.connection import Connection
from tools.desktop import Desktop, list_desktops
from tools.errors import DesktopGoneError, DesktopUnreachableError
from tools.layout import CONTROL, MARKS
from tools.settings import Settings

FILE = "/home/user/file"


class Thread:
    """A thread's desktops, seen from holders of its lease on one machine or another."""

    def __init__(self, settings: Settings, folder: Path, name: str) -> None:
        self.connection, self.folder, self.name = Connection(settings), folder, name
        self.ledger = Ledger(folder / "ledger.db")
        self._given = (self.connection, 300, settings.home, self.ledger.inventory)
        self.desktops = self.made(ThreadDesktops)
        self.restored: list[str] = []

    def made(self, kind: type[ThreadDesktops]) -> ThreadDesktops:
        return kind(*self._given)

    def lease(self, machine: str = "here") -> Lease:
        """The lease of a process that died by now; its successor gets a larger number."""
        lease = take_lease(self.folder / machine, self.name)
        lease.release()
        return lease

    def binding(self, lease: Lease, ref: DesktopRef | None, **given: Any) -> Binding[Desktop]:
        return Binding(given.get("desktops", self.desktops), lease, ref, self.restored.append)

    async def sealed(self, lease: Lease) -> DesktopRef:
        """A first node that wrote a file, and one that went on in the desktop of its snapshot."""
        binding = self.binding(lease, None)
        desktop = await binding.open("prepare")
        await desktop.fs.write_file(FILE, "sealed")
        binding = self.binding(lease, await binding.seal())
        await binding.open("planner")
        ref = await binding.seal()
        assert ref is not None
        return ref

    async def living(self) -> list[str]:
        return [d async for d in list_desktops(self.connection, {OWNER: self.name})]


@pytest.fixture
async def thread(
    settings: Settings, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Thread]:
    made = Thread(settings, tmp_path, request.node.name)
    yield made
    await kill_desktops(made.connection, {OWNER: made.name})
    made.ledger.close()


async def test_binding_first_desktop_is_left_for_one_made_of_its_snapshot(thread: Thread) -> None:
    lease = thread.lease()
    binding = thread.binding(lease, None)
    first = await binding.open("prepare")
    await first.fs.write_file(FILE, "sealed")
    ref = await binding.seal()
    second = await thread.binding(lease, ref).open("planner")
    assert await second.fs.read_file(FILE) == "sealed"
    assert await thread.living() == [second.id] != [first.id]
    assert thread.restored == []


async def test_binding_next_node_of_the_run_uses_the_desktop_it_has(thread: Thread) -> None:
    lease = thread.lease()
    ref = await thread.sealed(lease)
    binding = thread.binding(lease, ref)
    assert await binding.open("act") is lease.kept["desktop"]
    assert [mark.name for mark in await lease.kept["desktop"].fs.list_dir(MARKS)] == [binding.mark]


async def test_binding_desktop_paused_meanwhile_is_resumed(thread: Thread) -> None:
    lease = thread.lease()
    ref = await thread.sealed(lease)
    await lease.kept["desktop"].pause()
    desktop = await thread.binding(lease, ref).open("act")
    assert desktop.id == ref["id"]
    assert thread.restored == []


async def test_binding_desktop_killed_meanwhile_is_rebuilt(thread: Thread) -> None:
    lease = thread.lease()
    ref = await thread.sealed(lease)
    await lease.kept["desktop"].kill()
    desktop = await thread.binding(lease, ref).open("act")
    assert await desktop.fs.read_file(FILE) == "sealed"
    assert thread.restored == ["the desktop is gone"]


async def test_binding_files_of_a_dead_node_are_given_up_with_their_desktop(
    thread: Thread,
) -> None:
    ref = await thread.sealed(thread.lease())
    dead = await thread.binding(thread.lease(), ref).open("act")
    await dead.fs.write_file(FILE, "half written")
    desktop = await thread.binding(thread.lease(), ref).open("act")
    assert await desktop.fs.read_file(FILE) == "sealed"
    assert await thread.living() == [desktop.id]


@pytest.mark.parametrize(
    ("work", "machine", "adopted"),
    [("act-1", "here", True), ("act-2", "here", False), ("act-1", "elsewhere", False)],
)
async def test_binding_journal_same_work_of_a_dead_holder_is_adopted(
    thread: Thread, work: str, machine: str, adopted: bool
) -> None:
    ref = await thread.sealed(thread.lease())
    dead = thread.binding(thread.lease(), ref)
    await (await dead.open("act-1", journal=True)).fs.write_file(FILE, "half done")
    desktop = await thread.binding(thread.lease(machine), ref).open(work, journal=True)
    assert (await desktop.fs.read_file(FILE)) == ("half done" if adopted else "sealed")
    assert (desktop.id == ref["id"]) is adopted
    with pytest.raises(ThreadBusyError if adopted else DesktopGoneError):
        await dead.seal()


async def test_binding_older_holder_is_never_a_successor(thread: Thread) -> None:
    old, new = thread.lease(), thread.lease()
    ref = await thread.sealed(new)
    await thread.binding(new, ref).open("act-1", journal=True)
    desktop = await thread.binding(old, ref).open("act-1", journal=True)
    assert desktop.id != ref["id"]


async def test_binding_marks_deleted_by_a_coder_are_put_back(thread: Thread) -> None:
    lease = thread.lease()
    binding = thread.binding(lease, await thread.sealed(lease))
    desktop = await binding.open("act")
    await desktop.fs.remove(CONTROL)
    await desktop.fs.write_file(FILE, "without control")
    ref = await binding.seal()
    again = await thread.binding(thread.lease(), ref).open("act")
    assert (await again.fs.read_file(FILE), again.id) == ("without control", desktop.id)


class LosesAnswers(ThreadDesktops):
    """The first rename is carried out, but its answer does not arrive."""

    lose = True

    async def turn(self, desktop: Desktop, mark: str, into: str) -> bool:
        turned = await super().turn(desktop, mark, into)
        if self.lose:
            self.lose = False
            raise DesktopUnreachableError("the connection was lost")
        return turned


async def test_binding_answer_to_its_own_rename_lost_is_no_other_moment(thread: Thread) -> None:
    lease = thread.lease()
    ref = await thread.sealed(lease)
    desktops = thread.made(LosesAnswers)
    desktop = await thread.binding(lease, ref, desktops=desktops).open("act")
    assert desktop.id == ref["id"]
    assert thread.restored == []


async def test_binding_answer_to_its_sealing_lost_is_no_other_holder(thread: Thread) -> None:
    lease = thread.lease()
    desktops = thread.made(LosesAnswers)
    desktops.lose = False
    binding = thread.binding(lease, await thread.sealed(lease), desktops=desktops)
    await binding.open("act")
    desktops.lose = True
    ref = await binding.seal()
    assert ref is not None
    again = await thread.binding(thread.lease(), ref).open("tester")
    assert (again.id, thread.restored) == (ref["id"], [])


async def test_binding_run_whose_desktop_another_machine_replaced_is_over(thread: Thread) -> None:
    here, elsewhere = thread.lease(), thread.lease("elsewhere")
    ref = await thread.sealed(here)
    await thread.binding(here, ref).open("act-1", journal=True)
    theirs = await thread.binding(elsewhere, ref).open("act-1", journal=True)
    here.kept["desktop"] = None  # what a failed node leaves
    with pytest.raises(ThreadBusyError, match="taken over"):
        await thread.binding(here, ref).open("act-1", journal=True)
    assert await thread.living() == [theirs.id]


async def test_binding_desktop_made_before_a_reboot_is_no_rival(thread: Thread) -> None:
    ref = await thread.sealed(thread.lease("before"))
    now = thread.lease("after")
    failed = await thread.binding(now, ref).open("tester")
    now.kept["desktop"] = None  # what a failed node leaves
    desktop = await thread.binding(now, ref).open("tester")
    assert (failed.id, await thread.living()) == (ref["id"], [desktop.id])


async def test_binding_desktop_left_by_a_crash_is_killed_by_whoever_comes_next(
    thread: Thread,
) -> None:
    ref = await thread.sealed(thread.lease())
    stray = await Desktop.create(
        metadata={OWNER: thread.name, ROLE: "work"}, connection=thread.connection
    )
    desktop = await thread.binding(thread.lease(), ref).open("act")
    assert desktop.id == ref["id"] != stray.id
    assert await thread.living() == [desktop.id]


async def test_binding_restart_has_the_checkpoints_files_and_no_other_desktop(
    thread: Thread,
) -> None:
    lease = thread.lease()
    binding = thread.binding(lease, await thread.sealed(lease))
    await (await binding.open("act")).fs.write_file(FILE, "unknown")
    desktop = await binding.restart("nobody knows")
    assert await desktop.fs.read_file(FILE) == "sealed"
    assert await binding.seal() is not None
    assert await thread.living() == [desktop.id]
