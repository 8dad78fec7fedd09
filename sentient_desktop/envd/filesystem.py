"""envd's filesystem service: stat, make, move, list and remove, carried out inside the desktop.

Source: E2B envd ``filesystem.Filesystem``. Paths are resolved by the agent in the desktop's own
root, so a symbolic link can point wherever it likes and still lead nowhere else.
"""

from typing import Any

from sentient_desktop.desktop import Desktop
from sentient_desktop.envd.entries import entry_message
from sentient_desktop.envd.watch import WatchService
from sentient_desktop.errors import AgentError
from sentient_desktop.rpc.codec import Message
from sentient_desktop.rpc.fields import read_number, read_text
from sentient_desktop.rpc.service import Call, Service

TREE_TIMEOUT_S = 300.0
"""For removing, moving and listing, which may touch many files."""


def filesystem_service(desktop: Desktop) -> Service:
    """Return the methods of ``filesystem.Filesystem`` for one desktop."""
    service = FilesystemService(desktop)
    watching = WatchService(desktop)
    return Service(
        unary={
            "Stat": service.stat,
            "MakeDir": service.make_dir,
            "Move": service.move,
            "ListDir": service.list_dir,
            "Remove": service.remove,
            "CreateWatcher": watching.create,
            "GetWatcherEvents": watching.fetch,
            "RemoveWatcher": watching.remove,
        },
        server_streams={"WatchDir": watching.watch_dir},
        client_streams={},
    )


class FilesystemService:
    """The methods; messages are the JSON form of the protocol's."""

    def __init__(self, desktop: Desktop) -> None:
        self._desktop = desktop

    async def _call(self, operation: str, **fields: Any) -> Message:
        jail = await self._desktop.ensure_booted()
        return await jail.channel.call(operation, timeout_s=TREE_TIMEOUT_S, **fields)

    async def stat(self, _call: Call, message: Message) -> Message:
        """Describe one path."""
        reply = await self._call("stat", path=_path(message, "path"))
        return {"entry": entry_message(reply.get("entry"))}

    async def make_dir(self, _call: Call, message: Message) -> Message:
        """Make a folder with its parents."""
        reply = await self._call("make_dir", path=_path(message, "path"))
        return {"entry": entry_message(reply.get("entry"))}

    async def move(self, _call: Call, message: Message) -> Message:
        """Rename, making the target's parents."""
        source, target = _path(message, "source"), _path(message, "destination")
        reply = await self._call("move", path=source, target=target)
        return {"entry": entry_message(reply.get("entry"))}

    async def list_dir(self, _call: Call, message: Message) -> Message:
        """List a folder ``depth`` levels deep (0 and absent mean 1)."""
        depth = read_number(message, "depth") or 1
        reply = await self._call("list", path=_path(message, "path"), depth=depth)
        entries = reply.get("entries")
        if not isinstance(entries, list):
            raise AgentError("EPROTO", "the agent's listing is malformed")
        return {"entries": [entry_message(entry) for entry in entries]}

    async def remove(self, _call: Call, message: Message) -> Message:
        """Remove a file or a whole folder; a missing path counts as removed."""
        await self._call("remove", path=_path(message, "path"))
        return {}


def _path(message: Message, key: str) -> str:
    return read_text(message, key) or ""
