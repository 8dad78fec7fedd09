"""envd's directory watching: a stream of events, or a watcher whose events are fetched.

Source: E2B envd ``WatchDir`` and ``CreateWatcher/GetWatcherEvents/RemoveWatcher``. Events wait
inside the desktop, in bounds, and are taken only as fast as a client takes them, so a client that
does not read costs this process nothing; what it then misses is said when it reads on.
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncGenerator
from typing import Any

from sentient_desktop.desktop import Desktop
from sentient_desktop.envd.entries import entry_message
from sentient_desktop.errors import AgentError, RpcError
from sentient_desktop.rpc.codec import Message, encode
from sentient_desktop.rpc.fields import read_flag, read_text
from sentient_desktop.rpc.service import Call
from sentient_desktop.sandbox.boot import RunningJail
from sentient_desktop.settings import FRAME_LIMIT_BYTES

_TYPES = {
    kind: f"EVENT_TYPE_{kind.upper()}" for kind in ("create", "write", "remove", "rename", "chmod")
}


class WatchService:
    """The watching methods; the watches themselves live in the desktop and die with its boot."""

    def __init__(self, desktop: Desktop) -> None:
        self._desktop = desktop

    async def _open(self, message: Message) -> tuple[RunningJail, str]:
        read_flag(message, "allowNetworkMounts", default=False)  # there are none to refuse
        fields: dict[str, Any] = {
            "path": read_text(message, "path") or "",
            "recursive": read_flag(message, "recursive", default=False),
            "entries": read_flag(message, "includeEntry", default=False),
        }
        jail, key = await self._desktop.ensure_booted(), f"w{secrets.token_hex(8)}"
        await jail.channel.call("watch", key=key, **fields)
        return jail, key

    async def watch_dir(self, call: Call, message: Message) -> AsyncGenerator[Message | bytes]:
        """Watch a folder until the client goes away or its deadline passes."""
        jail, key = await self._open(message)
        hint = jail.channel.hints[key] = asyncio.Event()
        hint.set()  # there may have been one before we could listen
        try:
            yield {"start": {}}
            async with asyncio.timeout(call.timeout_s):
                while True:
                    if not await _happened(hint, call.keepalive_s):
                        yield {"keepalive": {}}
                        continue
                    hint.clear()
                    for event in await _take(jail, key, timeout_s=None):
                        yield {"filesystem": event}
        except TimeoutError:
            raise RpcError("deadline_exceeded", "the watch's time is up") from None
        finally:
            del jail.channel.hints[key]
            self._desktop.when_awake(lambda: _unwatch(jail, key))

    async def create(self, _call: Call, message: Message) -> Message:
        """Watch a folder and keep what happens until it is fetched."""
        return {"watcherId": (await self._open(message))[1]}

    async def fetch(self, _call: Call, message: Message) -> Message:
        """Return what happened since the last fetch, up to a message's size; the rest waits."""
        jail, key = await self._desktop.ensure_booted(), read_text(message, "watcherId") or ""
        events: list[Message] = []
        room = FRAME_LIMIT_BYTES
        while room > 0 and (batch := await _take(jail, key)):
            events += batch
            room -= len(encode({"events": batch}))
        return {"events": events}

    async def remove(self, _call: Call, message: Message) -> Message:
        """End a watcher."""
        jail = await self._desktop.ensure_booted()
        await jail.channel.call("unwatch", key=read_text(message, "watcherId") or "")
        return {}


async def _happened(hint: asyncio.Event, within_s: float) -> bool:
    try:
        async with asyncio.timeout(within_s):
            await hint.wait()
    except TimeoutError:
        return False
    return True


async def _take(jail: RunningJail, key: str, **choices: Any) -> list[Message]:
    reply = await jail.channel.call("take", key=key, **choices)
    events = reply.get("events")
    if not isinstance(events, list):
        raise AgentError("EPROTO", "the agent's report of events is malformed")
    return [_event_message(event) for event in events]


def _event_message(event: Any) -> Message:
    try:
        kind, name, entry = event
        message: Message = {"name": str(name), "type": _TYPES[kind]}
    except (KeyError, TypeError, ValueError) as error:
        raise AgentError(
            "EPROTO", f"the agent's report of an event is malformed: {error}"
        ) from error
    return message if entry is None else message | {"entry": entry_message(entry)}


async def _unwatch(jail: RunningJail, key: str) -> None:
    with contextlib.suppress(AgentError):
        await jail.channel.call("unwatch", key=key)
