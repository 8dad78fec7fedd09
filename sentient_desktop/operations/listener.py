"""uvicorn with two habits of its own: it tells when it is ready, and drains when told to stop."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from types import FrameType

import uvicorn


class Listener(uvicorn.Server):
    """``drain`` runs between SIGTERM or SIGINT and the end; a second signal skips it.

    A drained server returns from run() as if nothing had happened, so the process ends with 0,
    while uvicorn alone would raise the signal again.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        on_ready: Callable[[], None],
        drain: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__(config)
        self._on_ready = on_ready
        self._drain = drain
        self._loop: asyncio.AbstractEventLoop | None = None
        self._draining: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening, then say so."""
        await super().startup(sockets)
        if not self.should_exit:
            self._loop = asyncio.get_running_loop()
            self._on_ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain on the first signal; end at once on the second, or before being ready."""
        if self._loop is None or self._draining is not None:
            super().handle_exit(sig, frame)
        else:
            self._loop.call_soon_threadsafe(self._begin)

    def _begin(self) -> None:
        if self._draining is None:
            self._draining = asyncio.create_task(self._end())

    async def _end(self) -> None:
        try:
            await self._drain()
        finally:
            self.should_exit = True
