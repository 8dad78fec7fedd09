"""Desktops as binding needs them, made by the facade over the E2B SDK."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from checkpoints.binding import Desktops
from checkpoints.inventory import Inventory
from checkpoints.lease import Lease
from tools.connection import Connection
from tools.desktop import Desktop, described_desktops, kill_desktop, list_desktops
from tools.errors import (
    DesktopGoneError,
    DesktopUnreachableError,
    SentientError,
    ToolError,
)
from tools.home import HOME, home_id
from tools.layout import MARKS

OWNER = "sentient-thread"
ROLE = "sentient-role"
LEASE = "sentient-lease"
"""Metadata of our desktops: the thread, what it is for, and the token of who made it."""


class ThreadDesktops(Desktops[Desktop]):
    """The working desktops of threads: one each, found by metadata, so that none is orphaned.

    A thread with several lines of work has one for each; `line` is the line's name.
    """

    def __init__(
        self,
        connection: Connection,
        timeout_s: int,
        home: Path,
        inventory: Inventory,
        line: str = "",
    ) -> None:
        self._connection, self._timeout_s = connection, timeout_s
        self._home, self._inventory, self._line = home, inventory, line

    def of_line(self, line: str) -> "ThreadDesktops":
        """The same for one line of work."""
        return ThreadDesktops(self._connection, self._timeout_s, self._home, self._inventory, line)

    def _role(self, role: str) -> str:
        return f"{role}-{self._line}" if self._line else role

    @property
    def lost(self) -> tuple[type[Exception], ...]:
        """The two errors that say that a desktop cannot be used."""
        return (DesktopGoneError, DesktopUnreachableError)

    async def find(self, desktop_id: str, owner: str) -> Desktop | None:
        """Attach to the owner's desktop; a copied thread does not get its original's."""
        working = await self._working(owner)
        if desktop_id not in working:
            return None
        if len(working) > 1:
            await self._kill_others(owner, desktop_id)
        try:
            return await Desktop.connect(
                desktop_id, timeout_s=self._timeout_s, connection=self._connection
            )
        except DesktopGoneError:
            return None

    async def _working(self, owner: str) -> dict[str, str]:
        """The owner's working desktops, each with the token of the lease that made it."""
        wanted = {OWNER: owner, ROLE: self._role("work")}
        found = described_desktops(self._connection, wanted)
        return {desktop: metadata.get(LEASE, "") async for desktop, metadata in found}

    async def is_taken_over(self, owner: str, lease: Lease, ref: str) -> bool:
        """Whether another machine has made a working desktop for this thread."""
        working = await self._working(owner)
        return any(maker != lease.token for desktop, maker in working.items() if desktop != ref)

    async def _kill_others(self, owner: str, keep: str) -> None:
        await self._kill({OWNER: owner, ROLE: self._role("work")}, "replaced", keep=keep)

    async def create(self, owner: str, snapshot: str, lease: Lease) -> Desktop:
        """Make the one working desktop and kill any left by a run that died."""
        desktop = await self._make(owner, "work", snapshot, lease.token)
        await self._kill_others(owner, desktop.id)
        return desktop

    async def create_beside(self, owner: str, snapshot: str, role: str) -> Desktop:
        """Make a second, short-lived desktop; at most one of a role for an owner."""
        wanted = {OWNER: owner, ROLE: self._role(role)}
        await self._kill(wanted, "left by a run that died")
        return await self._make(owner, role, snapshot, "")

    async def _make(self, owner: str, role: str, snapshot: str, token: str) -> Desktop:
        home = await asyncio.to_thread(home_id, self._home)
        desktop = await Desktop.create(
            template=snapshot or None,
            lifecycle="persistent" if role == "work" else "ephemeral",
            metadata={OWNER: owner, ROLE: self._role(role), LEASE: token, HOME: home},
            timeout_s=self._timeout_s,
            connection=self._connection,
        )
        await asyncio.to_thread(
            self._inventory.save_desktop,
            desktop.id,
            server=self.server,
            thread=owner,
            role=self._role(role),
            snapshot=snapshot,
        )
        return desktop

    @property
    def template(self) -> str:
        """What desktops are made from where no snapshot is named."""
        return self._connection.template

    @property
    def server(self) -> str:
        """The server's name in the ledger."""
        return self._connection.server_name

    async def ended(self, desktop: Desktop, why: str) -> None:
        """Write down that a desktop is no more."""
        await asyncio.to_thread(self._inventory.end_desktop, desktop.id, why)

    async def _kill(self, metadata: Mapping[str, str], why: str, *, keep: str = "") -> None:
        for desktop_id in [item async for item in list_desktops(self._connection, metadata)]:
            if desktop_id != keep:
                await kill_desktop(self._connection, desktop_id)
                await asyncio.to_thread(self._inventory.end_desktop, desktop_id, why)

    async def turn(self, desktop: Desktop, mark: str, into: str) -> bool:
        """Rename a mark; False when there is none of that name."""
        try:
            await desktop.fs.rename(f"{MARKS}/{mark}", f"{MARKS}/{into}")
        except ToolError:
            return False
        return True

    async def put(self, desktop: Desktop, mark: str) -> None:
        """Make the file that is the mark."""
        await desktop.fs.write_file(f"{MARKS}/{mark}", "")

    async def marks(self, desktop: Desktop) -> list[str]:
        """The names of the marks; none when a coder has deleted the folder."""
        try:
            return [entry.name for entry in await desktop.fs.list_dir(MARKS)]
        except ToolError:
            return []

    async def rest(self, desktop: Desktop) -> None:
        """Pause a desktop that nobody is going to use for a while; what cannot be, is left."""
        with suppress(SentientError):  # it would take the place of what the run has to say
            await desktop.pause()

    async def kill_working(self, owner: str, why: str) -> None:
        """End the working desktop of this line; its files are in its snapshots."""
        await self._kill({OWNER: owner, ROLE: self._role("work")}, why)

    async def kill_all(self, owner: str) -> None:
        """End every desktop of a thread that came to its end."""
        await self._kill({OWNER: owner}, "its thread ended")
