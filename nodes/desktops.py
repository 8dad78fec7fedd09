"""Desktops as binding needs them, made by the facade over the E2B SDK."""

from contextlib import suppress

from checkpoints.binding import Desktops
from checkpoints.lease import Lease
from tools.connection import Connection
from tools.desktop import Desktop, described_desktops, kill_desktops
from tools.errors import DesktopGoneError, DesktopUnreachableError, ToolError
from tools.layout import MARKS

OWNER = "sentient-thread"
ROLE = "sentient-role"
LEASE = "sentient-lease"
"""Metadata of our desktops: the thread, what it is for, and the token of who made it."""


class ThreadDesktops(Desktops[Desktop]):
    """The working desktops of threads: one each, found by metadata, so that none is orphaned."""

    def __init__(self, connection: Connection, timeout_s: int) -> None:
        self._connection, self._timeout_s = connection, timeout_s

    @property
    def lost(self) -> tuple[type[Exception], ...]:
        """The two errors that say that a desktop cannot be used."""
        return (DesktopGoneError, DesktopUnreachableError)

    async def find(self, desktop_id: str, owner: str) -> Desktop | None:
        """Attach to the owner's desktop; a copied thread does not get its original's."""
        if desktop_id not in await self._working(owner):
            return None
        try:
            return await Desktop.connect(
                desktop_id, timeout_s=self._timeout_s, connection=self._connection
            )
        except DesktopGoneError:
            return None

    async def _working(self, owner: str) -> dict[str, str]:
        """The owner's working desktops, each with the token of the lease that made it."""
        wanted = {OWNER: owner, ROLE: "work"}
        found = described_desktops(self._connection, wanted)
        return {desktop: metadata.get(LEASE, "") async for desktop, metadata in found}

    async def is_taken_over(self, owner: str, lease: Lease) -> bool:
        """Whether another machine has made a working desktop for this thread."""
        makers = (await self._working(owner)).values()
        return any(
            maker and maker != lease.token and not lease.is_successor_of(maker) for maker in makers
        )

    async def create(self, owner: str, snapshot: str, lease: Lease) -> Desktop:
        """Make the one working desktop and kill any left by a run that died."""
        desktop = await self._make(owner, "work", snapshot, lease.token)
        await kill_desktops(self._connection, {OWNER: owner, ROLE: "work"}, keep=desktop.id)
        return desktop

    async def create_pristine(self, owner: str, snapshot: str) -> Desktop:
        """Make a second, short-lived desktop for a verdict; at most one an owner."""
        await kill_desktops(self._connection, {OWNER: owner, ROLE: "verdict"})
        return await self._make(owner, "verdict", snapshot, "")

    async def _make(self, owner: str, role: str, snapshot: str, token: str) -> Desktop:
        return await Desktop.create(
            template=snapshot or None,
            lifecycle="ephemeral" if role == "verdict" else "persistent",
            metadata={OWNER: owner, ROLE: role, LEASE: token},
            timeout_s=self._timeout_s,
            connection=self._connection,
        )

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
        with suppress(*self.lost):
            await desktop.pause()

    async def kill_all(self, owner: str) -> int:
        """End every desktop of a thread."""
        return await kill_desktops(self._connection, {OWNER: owner})
