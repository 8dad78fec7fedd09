"""Desktops as binding needs them, made by the facade over the E2B SDK."""

from checkpoints.binding import Desktops
from tools.connection import Connection
from tools.desktop import Desktop, kill_desktops, list_desktops
from tools.errors import DesktopGoneError, ToolError
from tools.layout import HEAD

OWNER = "sentient-thread"
ROLE = "sentient-role"


class ThreadDesktops(Desktops[Desktop]):
    """The working desktops of threads: one each, found by metadata, so that none is orphaned."""

    def __init__(self, connection: Connection, timeout_s: int) -> None:
        self._connection, self._timeout_s = connection, timeout_s

    async def find(self, desktop_id: str, owner: str) -> Desktop | None:
        """Attach to the owner's desktop; a copied thread does not get its original's."""
        try:
            desktop = await Desktop.connect(
                desktop_id, timeout_s=self._timeout_s, connection=self._connection
            )
        except DesktopGoneError:
            return None
        return desktop if await self._belongs(desktop_id, owner) else None

    async def _belongs(self, desktop_id: str, owner: str) -> bool:
        wanted = {OWNER: owner, ROLE: "work"}
        return desktop_id in [item async for item in list_desktops(self._connection, wanted)]

    async def create(self, owner: str, snapshot: str) -> Desktop:
        """Make the one working desktop and kill any left by a run that died."""
        desktop = await self._make(owner, "work", snapshot)
        await kill_desktops(self._connection, {OWNER: owner, ROLE: "work"}, keep=desktop.id)
        return desktop

    async def create_pristine(self, owner: str, snapshot: str) -> Desktop:
        """Make a second, short-lived desktop for a verdict; at most one an owner."""
        await kill_desktops(self._connection, {OWNER: owner, ROLE: "verdict"})
        return await self._make(owner, "verdict", snapshot)

    async def _make(self, owner: str, role: str, snapshot: str) -> Desktop:
        return await Desktop.create(
            template=snapshot or None,
            lifecycle="ephemeral" if role == "verdict" else "persistent",
            metadata={OWNER: owner, ROLE: role},
            timeout_s=self._timeout_s,
            connection=self._connection,
        )

    async def read_head(self, desktop: Desktop) -> str:
        """The head token; empty when a coder deleted the file, which then means: restore."""
        try:
            return (await desktop.fs.read_file(HEAD, 4096)).strip()
        except ToolError:
            return ""

    async def write_head(self, desktop: Desktop, head: str) -> None:
        """Replace the head token."""
        await desktop.fs.write_file(HEAD, head)

    async def kill_all(self, owner: str) -> int:
        """End every desktop of a thread."""
        return await kill_desktops(self._connection, {OWNER: owner})
