"""Desktops booted ahead of anybody's wish: creating one from a template then waits for no boot.

A member is a whole desktop, with its id, host user, row and disk, in the state ``pooled``: nobody
can name it, no list shows it, no quota counts it. Members do not outlive the server: they are
deleted when it stops, and the sweep of the next start deletes what a crash left of them.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable

from sentient_desktop.desktop import Desktop

FILL_DELAY_S = 0.05
"""Quiet time before a member is booted: whoever just created one runs a first command now."""

RETRY_S = 5.0
"""Pause after a member could not be made, for want of space for example."""

_log = logging.getLogger(__name__)


class Pool:
    """A few members of each template asked for; made one at a time, while no create runs."""

    def __init__(self, size: int, make: Callable[[str], Awaitable[Desktop]]) -> None:
        self._size = size
        self._make = make
        self._members: dict[str, deque[Desktop]] = {}
        self._creating = 0
        self._changed = asyncio.Event()

    def want(self, template: str) -> None:
        """Keep members of a template from now on."""
        if self._size:
            self._members.setdefault(template, deque())
            self._changed.set()

    def begin(self, template: str) -> Desktop | None:
        """Note that a create began; return a living member for it, now its caller's, if any.

        Every call must be followed by end().
        """
        self._creating += 1
        members = self._members.get(template)
        while members:
            member = members.popleft()
            if member.jail is not None and member.jail.alive:
                return member
            member.keep(member.delete())
        return None

    def end(self) -> None:
        """Note that a create ended, well or not."""
        self._creating -= 1
        self._changed.set()

    async def fill_forever(self) -> None:
        """Make the members that are missing. Runs until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            await asyncio.sleep(FILL_DELAY_S)
            while not self._creating and (template := self._short()):
                try:
                    self._members[template].append(await self._make(template))
                except Exception as error:  # noqa: BLE001 - a full disk must not end the filling
                    _log.error("a desktop of the pool could not be made: %s", error)
                    await asyncio.sleep(RETRY_S)

    def _short(self) -> str | None:
        """Return a template that has fewer members than it should, the emptiest first."""
        count, template = min(((len(m), t) for t, m in self._members.items()), default=(0, ""))
        return template if count < self._size else None

    @property
    def ready(self) -> int:
        """How many members wait to be claimed."""
        return sum(len(queue) for queue in self._members.values())

    async def empty(self) -> None:
        """Delete all members; call when nothing fills the pool any more."""
        members = [member for queue in self._members.values() for member in queue]
        self._members.clear()
        await asyncio.gather(*(member.delete() for member in members))
