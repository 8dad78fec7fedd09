"""The border of one desktop: applies its policy to its jail and serves its way out.

The agent listens inside and announces each connection by a number; the host answers with one end
of a socket pair, so descriptors only travel inwards. Announcements are a hostile party's word: at
most a bounded number is remembered, the rest is ignored.
"""

import asyncio
import contextlib
import logging
import socket
from collections import deque
from pathlib import Path

from sentient_desktop.errors import AgentError, AgentGoneError, BootError
from sentient_desktop.network.dialer import Dialer, Outside, Resolver
from sentient_desktop.network.policy import PROXY_PORT, Policy, proxy_environment
from sentient_desktop.network.proxy import ProxySession
from sentient_desktop.network.streams import close
from sentient_desktop.sandbox.boot import RunningJail, Spawner
from sentient_desktop.sandbox.channel import AgentChannel
from sentient_desktop.sandbox.uplink import PROGRAMS, Uplink, find_program, open_uplink

DESKTOP_LIMIT = 128
"""Connections to the outside of one desktop at once; more wait in its kernel."""

SERVER_LIMIT = 8192
"""The same for all desktops together; each is three descriptors of the server's."""

WAITING_LIMIT = 64

_log = logging.getLogger(__name__)


class Uplinks:
    """Open ways to the internet, for servers whose operator wants them and that can have them."""

    def __init__(self, spawner: Spawner, folder: Path) -> None:
        self._spawner = spawner
        self._log = folder / "uplink.log"
        self._program = find_program()
        if self._program is None:
            _log.warning("neither %s is installed: desktops get a proxy", " nor ".join(PROGRAMS))

    async def connect(self, jail: RunningJail, uid: int | None) -> Uplink | None:
        """Connect a desktop; None when that fails, which says nothing of other desktops."""
        if self._program is None:
            return None
        try:
            return await open_uplink(
                self._spawner, jail, program=self._program, uid=uid, log=self._log
            )
        except BootError as error:
            _log.warning("no open way to the internet, this desktop gets a proxy: %s", error)
            return None


class Border:
    """What the gates of a server share."""

    def __init__(self, outside: Outside, uplinks: Uplinks | None = None) -> None:
        self.outside = outside
        self.uplinks = uplinks
        self.resolver = Resolver(outside.hosts)
        self.open = 0

    def close(self) -> None:
        """Let go of the resolver's threads."""
        self.resolver.close()


class Gate:
    """One desktop's way out. Lives on the event loop's thread."""

    def __init__(self, desktop_id: str, border: Border) -> None:
        self._border = border
        self._dialer = Dialer(desktop_id, border.outside, border.resolver)
        self._channel: AgentChannel | None = None
        self._listening: AgentChannel | None = None
        self._uplink: Uplink | None = None
        self._sessions: set[asyncio.Task[None]] = set()
        self._waiting: deque[int] = deque(maxlen=WAITING_LIMIT)

    @property
    def environment(self) -> dict[str, str]:
        """Variables for every command started now, so that programs find the way out."""
        return {} if self._uplink is not None else proxy_environment(self._dialer.policy)

    async def apply(self, jail: RunningJail, policy: Policy, uid: int | None) -> None:
        """Put a policy in force; connections made under another one end. Idempotent.

        Raises:
            AgentError: the port of the way out is taken inside.
            AgentGoneError: the desktop's processes are gone.
        """
        channel = jail.channel
        if policy != self._dialer.policy or channel is not self._channel:
            uplink = self._uplink
            self.shut()
            self._dialer.policy, self._channel = policy, channel  # before anybody is let out again
            if uplink is not None:
                await uplink.ended.wait()
        channel.on_egress = self._admit
        if policy.mode == "open" and self._uplink is None and self._border.uplinks is not None:
            self._uplink = await self._border.uplinks.connect(jail, uid)
        if self._uplink is not None:
            return
        if policy.mode != "none" and channel is not self._listening:
            await channel.call("listen", port=PROXY_PORT)
            self._listening = channel

    def shut(self) -> None:
        """End every connection to the outside."""
        self._waiting.clear()
        if self._uplink is not None:
            self._uplink.stop()
            self._uplink = None
        for session in self._sessions:
            session.cancel()

    def _admit(self, number: int) -> None:
        if len(self._sessions) >= DESKTOP_LIMIT or self._border.open >= SERVER_LIMIT:
            self._waiting.append(number)
            return
        self._border.open += 1
        session = asyncio.create_task(self._serve(number))
        self._sessions.add(session)
        session.add_done_callback(self._end)

    def _end(self, session: asyncio.Task[None]) -> None:
        self._border.open -= 1
        self._sessions.discard(session)
        if not session.cancelled() and (error := session.exception()):
            _log.error("a connection to the outside failed", exc_info=error)
        if self._waiting and self._channel is not None and not self._channel.closed.is_set():
            self._admit(self._waiting.popleft())

    async def _serve(self, number: int) -> None:
        channel = self._channel
        if channel is None:
            return
        with contextlib.suppress(AgentError, AgentGoneError, OSError):
            if self._dialer.policy.mode == "none":
                await channel.call("adopt", number=number)
                return
            ours, theirs = socket.socketpair()
            try:
                with theirs:
                    await channel.call("adopt", fds=[theirs.fileno()], number=number)
                stream = await asyncio.open_unix_connection(sock=ours)
            except BaseException:
                ours.close()
                raise
            try:
                await ProxySession(stream, self._dialer.open).run()
            finally:
                close(stream)
