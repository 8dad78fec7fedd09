"""Binds the files of a desktop to the checkpoints of a thread (law 1).

Every checkpoint names a `DesktopRef`: the desktop, a snapshot of it, and its `head`, a random
name. A desktop whose files are those of a checkpoint has a mark of that name. A node that is to
touch the files turns the mark into one of its own, in one rename, so that of several only one can;
it names the checkpoint's head, the node's work and the lease. On the way out that mark, and no
other, is turned into a fresh head, and a snapshot is taken; both go into the node's update.

When a node finds another mark, the files belong to another moment (a crash, a replay, a fork,
time travel, a copied thread): a desktop is made from the snapshot, and the other one is killed, so
that whoever still works there works on nothing. One mark may be adopted: that of the same work on
the same checkpoint, left by a holder of the lease that is proven dead, when the node keeps a
journal of what it did.

This needs nothing but files, metadata and snapshots of the official SDK, so it holds on E2B cloud.
"""

import re
import secrets
from collections.abc import Callable
from typing import Any, Generic, NotRequired, Protocol, TypedDict, TypeVar

from checkpoints.lease import Lease, ThreadBusyError

KEPT = "desktop"
"""Where a lease keeps the desktop that a node left sealed, for the next node."""

FIRST = "first desktop"
"""Where a lease notes that this desktop was made from no snapshot, and holds all it was given.

The next node leaves it for one made from its snapshot: a snapshot looks at what its desktop wrote
itself, and the whole repository is not to be looked at after every step.
"""


class DesktopRef(TypedDict):
    """A desktop as a checkpoint names it; plain strings."""

    id: str
    snapshot: str
    head: str
    line: NotRequired[str]
    """The line of work that made it, where a thread has several; another line forks from it."""
    ended: NotRequired[bool]
    """Whether it was ended on purpose when its snapshot was taken."""


def kept_by(lease: Lease, line: str) -> dict[str, Any]:
    """What a line of a thread's work keeps from node to node; lines go on side by side."""
    kept: dict[str, Any] = lease.kept.setdefault(f"line {line}", {}) if line else lease.kept
    return kept


class BoundDesktop(Protocol):
    """What binding needs of a desktop."""

    @property
    def id(self) -> str:
        """The id under which it can be found again."""
        ...

    async def snapshot(self) -> str:
        """Take a snapshot of the files and return its id."""
        ...


D = TypeVar("D", bound=BoundDesktop)


class Desktops(Protocol[D]):
    """Where desktops come from; implemented over the E2B SDK in `nodes.desktops`."""

    @property
    def lost(self) -> tuple[type[Exception], ...]:
        """What is raised for a desktop that is gone or does not answer."""
        ...

    async def find(self, desktop_id: str, owner: str) -> D | None:
        """Attach to a live desktop of this owner; None when it is gone or another's.

        Any other working desktop of the owner is killed: it belongs to a run that died.
        """
        ...

    async def create(self, owner: str, snapshot: str, lease: Lease) -> D:
        """Make the owner's one desktop, from a snapshot unless that is empty.

        Any other working desktop of the owner is killed: it belongs to a run that died.
        """
        ...

    async def is_taken_over(self, owner: str, lease: Lease, ref: str) -> bool:
        """Whether the owner has a working desktop besides `ref` that this lease did not make."""
        ...

    async def turn(self, desktop: D, mark: str, into: str) -> bool:
        """Rename a mark; False when the desktop has no such mark."""
        ...

    async def put(self, desktop: D, mark: str) -> None:
        """Give the desktop a mark."""
        ...

    async def marks(self, desktop: D) -> list[str]:
        """All marks of the desktop: one, unless something inside has meddled with them."""
        ...


class Binding(Generic[D]):
    """The desktop of one execution of one node: opened at first use, sealed at the end."""

    def __init__(
        self,
        desktops: Desktops[D],
        lease: Lease,
        ref: DesktopRef | None,
        on_restore: Callable[[str], None] = lambda _: None,
        line: str = "",
    ) -> None:
        self._desktops, self._lease, self._ref = desktops, lease, ref
        self._on_restore, self._line = on_restore, line
        self.kept = kept_by(lease, line)
        """What this line of the run keeps from node to node."""
        self._desktop: D | None = None
        self.template = ""
        """What a desktop that no checkpoint names yet is made from: a snapshot, unless empty."""
        self.mark = ""
        """The mark of this execution, once the desktop is open."""
        self.adopted = False
        """Whether the desktop holds what the same work of a dead holder did."""

    async def open(self, work: str, *, journal: bool = False) -> D:
        """Return the desktop with exactly the files of the checkpoint, marked as being changed.

        `work` names what is going to be done: a word of letters, digits and `-`. With `journal`
        the files may be those that the same work left when its process died.
        """
        if self._desktop is None:
            self.mark = f"{self._started(work)}.{self._lease.token}.{secrets.token_hex(4)}"
            desktop = None
            if not self.kept.pop(FIRST, False):
                desktop = await self._continue() or await self._attach(work if journal else None)
            if desktop is None:
                desktop = await self._restore()
            self.kept[KEPT] = self._desktop = desktop
        return self._desktop

    async def restart(self, reason: str) -> D:
        """Give up what was done since the checkpoint: a desktop with its files, and no other."""
        self._on_restore(reason)
        self.adopted = False
        self.kept[KEPT] = self._desktop = await self._restore()
        return self._desktop

    def _started(self, work: str) -> str:
        return f"dirty.{self._ref['head'] if self._ref else ''}.{work}"

    async def _continue(self) -> D | None:
        """The desktop as this run's last node left it, without asking for it again."""
        kept: D | None = self.kept.get(KEPT)
        if kept is None or self._ref is None or kept.id != self._ref["id"]:
            return None
        try:
            turned = await self._desktops.turn(kept, self._ref["head"], self.mark)
        except self._desktops.lost:  # paused, or its server is another by now: ask for it anew
            return None
        return kept if turned else None

    async def _attach(self, adopt: str | None) -> D | None:
        if self._ref is None or self._ref.get("ended"):
            return None
        if self._ref.get("line", "") != self._line:
            return None  # another line's desktop is not touched: its files are taken from there
        desktop = await self._desktops.find(self._ref["id"], self._lease.thread)
        if desktop is None:
            self._on_restore("the desktop is gone")
            return None
        if await self._desktops.turn(desktop, self._ref["head"], self.mark):
            return desktop
        match await self._desktops.marks(desktop):
            case [mark] if mark == self.mark:  # the answer to our own rename was lost
                return desktop
            case [mark] if adopt and self._may_adopt(mark, adopt):
                if await self._desktops.turn(desktop, mark, self.mark):
                    self.adopted = True
                    return desktop
        self._on_restore("its files are of another moment than this checkpoint")
        return None

    def _may_adopt(self, mark: str, work: str) -> bool:
        found = re.fullmatch(re.escape(self._started(work)) + r"\.([^.]+)\.[0-9a-f]+", mark)
        if found is None:
            return False
        return found[1] == self._lease.token or self._lease.is_successor_of(found[1])

    async def _restore(self) -> D:
        ref, lease = self._ref, self._lease
        if KEPT in self.kept and await self._is_lost_to_another_run():
            raise self._taken_over()
        desktop = await self._desktops.create(
            lease.thread, ref["snapshot"] if ref else self.template, lease
        )
        if ref is None:
            self.kept[FIRST] = True
        if ref is None or not await self._desktops.turn(desktop, ref["head"], self.mark):
            await self._desktops.put(desktop, self.mark)
        return desktop

    async def _is_lost_to_another_run(self) -> bool:
        """Once a run has opened its desktop, no other one is there but by another run."""
        ref = self._ref["id"] if self._ref else ""
        return await self._desktops.is_taken_over(self._lease.thread, self._lease, ref)

    async def seal(self) -> DesktopRef | None:
        """Snapshot the desktop and return what the checkpoint has to name; None if never opened.

        A failing snapshot fails the node, before its update is saved.

        Raises:
            ThreadBusyError: another holder has marked the desktop; nothing is saved.
        """
        if self._desktop is None:
            return None
        head = secrets.token_hex(8)
        if not await self._turn_into(self._desktop, head):
            await self.confirm()
            if not await self._turn_into(self._desktop, head):
                raise self._taken_over()
        snapshot = await self._desktop.snapshot()
        ref = DesktopRef(id=self._desktop.id, snapshot=snapshot, head=head)
        return {**ref, "line": self._line} if self._line else ref

    async def _turn_into(self, desktop: D, head: str) -> bool:
        """Whether the mark is `head` now; a lost answer to our own rename is asked for again."""
        try:
            if await self._desktops.turn(desktop, self.mark, head):
                return True
        except self._desktops.lost:
            pass
        return await self._desktops.marks(desktop) == [head]

    async def confirm(self) -> None:
        """Put the mark back where something inside the desktop has removed it.

        Raises:
            ThreadBusyError: there is another mark in its place.
        """
        if self._desktop is None:
            return
        match await self._desktops.marks(self._desktop):
            case []:
                await self._desktops.put(self._desktop, self.mark)
            case marks if marks != [self.mark]:
                raise self._taken_over()

    def _taken_over(self) -> ThreadBusyError:
        return ThreadBusyError(
            f"THREAD_BUSY: another run has taken over the desktop of thread {self._lease.thread}; "
            "nothing of this step is saved"
        )
