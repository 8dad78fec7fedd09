"""Binds the files of a desktop to the checkpoints of a thread (law 1).

Every checkpoint names a `DesktopRef`: the desktop, a snapshot of it, and the `head` token that the
snapshot holds in a file. A node that touches its desktop first compares the live head with the
one in its state. The same: the files are those of the checkpoint, and the head is overwritten
before any work, so that a crash from here on shows. Another: the files belong to another moment
(a crash, a replay, a fork, time travel, a copied thread), and a desktop is made from the snapshot.
On the way out a fresh head is written and a snapshot taken; both go into the node's update.

This needs nothing but files, metadata and snapshots of the official SDK, so it holds on E2B cloud.
"""

import secrets
from collections.abc import Callable
from typing import Generic, Protocol, TypedDict, TypeVar


class DesktopRef(TypedDict):
    """A desktop as a checkpoint names it; all three are plain strings."""

    id: str
    snapshot: str
    head: str


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

    async def find(self, desktop_id: str, owner: str) -> D | None:
        """Attach to a live desktop of this owner; None when it is gone or another's."""
        ...

    async def create(self, owner: str, snapshot: str) -> D:
        """Make the owner's one desktop, from a snapshot unless that is empty.

        Any other working desktop of the owner is killed: it belongs to a run that died.
        """
        ...

    async def read_head(self, desktop: D) -> str:
        """Return the token in the desktop's head file, empty when there is none."""
        ...

    async def write_head(self, desktop: D, head: str) -> None:
        """Replace the token in the desktop's head file."""
        ...


class Binding(Generic[D]):
    """The desktop of one execution of one node: opened at first use, sealed at the end."""

    def __init__(
        self,
        desktops: Desktops[D],
        owner: str,
        ref: DesktopRef | None,
        on_restore: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._desktops, self._owner, self._ref = desktops, owner, ref
        self._on_restore = on_restore
        self._desktop: D | None = None

    async def open(self) -> D:
        """Return the desktop with exactly the files of the checkpoint, marked as being changed."""
        if self._desktop is None:
            desktop = await self._attach() or await self._restore()
            await self._desktops.write_head(desktop, f"dirty-{secrets.token_hex(8)}")
            self._desktop = desktop
        return self._desktop

    async def _attach(self) -> D | None:
        if self._ref is None:
            return None
        desktop = await self._desktops.find(self._ref["id"], self._owner)
        if desktop is None:
            self._on_restore("the desktop is gone")
            return None
        if await self._desktops.read_head(desktop) != self._ref["head"]:
            self._on_restore("its files are of another moment than this checkpoint")
            return None
        return desktop

    async def _restore(self) -> D:
        return await self._desktops.create(self._owner, self._ref["snapshot"] if self._ref else "")

    async def seal(self) -> DesktopRef | None:
        """Snapshot the desktop and return what the checkpoint has to name; None if never opened.

        A failing snapshot fails the node, before its update is saved.
        """
        if self._desktop is None:
            return None
        head = secrets.token_hex(8)
        await self._desktops.write_head(self._desktop, head)
        snapshot = await self._desktop.snapshot()
        return DesktopRef(id=self._desktop.id, snapshot=snapshot, head=head)
