"""Ends desktops by their metadata, as a time that runs out or a careless person does."""

from collections.abc import Mapping

from tools.connection import Connection
from tools.desktop import kill_desktop, list_desktops


async def kill_desktops(connection: Connection, metadata: Mapping[str, str]) -> int:
    """Kill every desktop that carries all of `metadata`; return how many there were."""
    found = [item async for item in list_desktops(connection, metadata)]
    for desktop_id in found:
        await kill_desktop(connection, desktop_id)
    return len(found)
