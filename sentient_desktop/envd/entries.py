"""EntryInfo messages, built field by field from what the agent reports on a file."""

from datetime import UTC, datetime
from typing import Any

from sentient_desktop.errors import AgentError
from sentient_desktop.rpc.codec import Message

_TYPES = {"file": "FILE_TYPE_FILE", "dir": "FILE_TYPE_DIRECTORY"}


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
