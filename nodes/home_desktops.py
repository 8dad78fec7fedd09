"""All desktops of a home folder and their snapshots, as the sweep and retention see them."""

import asyncio
from pathlib import Path

from checkpoints.sweep import DesktopServer, FoundDesktop
from nodes.desktops import OWNER, ROLE
from tools.connection import Connection
from tools.desktop import delete_snapshot, described_desktops, kill_desktop, list_snapshots
from tools.home import HOME, home_id


class HomeDesktops(DesktopServer):
    """The server that a connection leads to; only what carries this home's id is seen."""

    def __init__(self, connection: Connection, home: Path) -> None:
        self._connection, self._home = connection, home

    @property
    def name(self) -> str:
        """The server's name in the ledger."""
        return self._connection.server_name

    async def desktops(self) -> list[FoundDesktop]:
        """Every desktop of this home that belongs to a thread."""
        mine = {HOME: await asyncio.to_thread(home_id, self._home)}
        return [
            FoundDesktop(desktop, metadata[OWNER], metadata.get(ROLE, ""))
            async for desktop, metadata in described_desktops(self._connection, mine)
            if OWNER in metadata
        ]

    async def kill(self, desktop_id: str) -> None:
        """End a desktop."""
        await kill_desktop(self._connection, desktop_id)

    async def snapshots(self, desktop_id: str) -> list[str]:
        """Every snapshot taken of a desktop."""
        return await list_snapshots(self._connection, desktop_id)

    async def delete_snapshot(self, snapshot_id: str) -> None:
        """Delete a snapshot."""
        await delete_snapshot(self._connection, snapshot_id)
