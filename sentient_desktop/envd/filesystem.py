"""envd's filesystem service: stat, make, move, list and remove, carried out inside the desktop.

Source: E2B envd ``filesystem.Filesystem``. Paths are resolved by the agent in the desktop's own
root, so a symbolic link can point wherever it likes and still lead nowhere else.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from sentient_desktop.desktop import Desktop
from sentient_desktop.errors import AgentError, RpcError
from sentient_desktop.rpc.codec import Message
from sentient_desktop.rpc.fields import read_number, read_text
from sentient_desktop.rpc.service import Call, Service, Unary

TREE_TIMEOUT_S = 300.0
"""For removing, moving and listing, which may touch many files."""

NO_WATCHING = "watching directories is not offered by this server yet"

_TYPES = {"file": "FILE_TYPE_FILE", "dir": "FILE_TYPE_DIRECTORY"}


def filesystem_service(desktop: Desktop) -> Service:
    """Return the methods of ``filesystem.Filesystem`` for one desktop."""
    service = FilesystemService(desktop)
    watchers: dict[str, Unary] = dict.fromkeys(
        ("CreateWatcher", "GetWatcherEvents", "RemoveWatcher"), service.refuse_watcher
    )
    return Service(
        unary=watchers
        | {
            "Stat": service.stat,
            "MakeDir": service.make_dir,
            "Move": service.move,
            "ListDir": service.list_dir,
            "Remove": service.remove,
        },
        server_streams={"WatchDir": service.watch_dir},
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

    async def refuse_watcher(self, _call: Call, _message: Message) -> Message:
        """Refuse honestly."""
        raise RpcError("unimplemented", NO_WATCHING)

    def watch_dir(self, _call: Call, _message: Message) -> AsyncIterator[Message]:
        """Refuse honestly, before the stream begins."""
        raise RpcError("unimplemented", NO_WATCHING)


def _path(message: Message, key: str) -> str:
    return read_text(message, key) or ""


def entry_message(entry: Any) -> Message:
    """Build an EntryInfo from what the agent reported, field by field.

    Raises:
        AgentError: ``EPROTO`` when the report does not have the shape of an entry.
    """
    try:
        modified = datetime.fromtimestamp(int(entry["mtime_ns"]) // 10**9, UTC)
        nanoseconds = int(entry["mtime_ns"]) % 10**9
        message: Message = {
            "name": str(entry["name"]),
            "path": str(entry["path"]),
            "type": _TYPES.get(entry["type"], "FILE_TYPE_UNSPECIFIED"),
            "size": str(int(entry["size"])),
            "mode": int(entry["mode"]) & 0o7777,
            "permissions": str(entry["permissions"]),
            "owner": str(entry["owner"]),
            "group": str(entry["group"]),
            "modifiedTime": f"{modified:%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}Z",
            "metadata": {str(k): str(v) for k, v in entry["metadata"].items()},
        }
        if entry["symlink"] is not None:
            message |= {"symlinkTarget": str(entry["symlink"]), "isSymlink": True}
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, OSError) as error:
        raise AgentError("EPROTO", f"the agent's report on a file is malformed: {error}") from error
    return message
