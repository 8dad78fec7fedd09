"""The host's end of an agent's socket: requests out, replies and exit reports in.

Nothing read here is trusted. A frame has a bounded length and must be a JSON object; an answer is
matched to a request that is really waiting; every wait has a deadline. Descriptors only travel
towards the guest: ancillary data from it is never even received.
"""

import asyncio
import contextlib
import itertools
import json
import socket
from collections.abc import Callable, Sequence
from typing import Any

from sentient_desktop.errors import AgentError, AgentGoneError
from sentient_desktop.sandbox.pipes import until_writable
from sentient_desktop.settings import FRAME_LIMIT_BYTES

REPLY_TIMEOUT_S = 30.0
"""For operations that should be immediate; transfers and tree walks pass their own."""


class AgentChannel:
    """One desktop's channel. ``closed`` is set once, when the guest's pid 1 is gone."""

    def __init__(self, end: socket.socket, on_exit: Callable[[int, int], None]) -> None:
        end.setblocking(False)
        self._socket = end
        self._on_exit = on_exit
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._sending = asyncio.Lock()
        self.hints: dict[str, asyncio.Event] = {}
        """Set when the watch of that key has events to take, or the agent is gone."""
        self.on_egress: Callable[[int], None] = _ignore
        """Called with the number of each connection the agent says was made to the way out."""
        self.ready = asyncio.Event()
        self.closed = asyncio.Event()
        self._reader = asyncio.create_task(self._read_forever())

    async def call(
        self,
        operation: str,
        *,
        fds: Sequence[int] = (),
        timeout_s: float | None = REPLY_TIMEOUT_S,
        **fields: Any,
    ) -> dict[str, Any]:
        """Send a request with descriptors attached and return the agent's reply.

        The descriptors are duplicated by the kernel; closing them stays the caller's business.

        Raises:
            AgentError: the agent refused, did not answer in time, or answered nonsense.
            AgentGoneError: there is no agent any more.
        """
        if self.closed.is_set():
            raise AgentGoneError("the desktop's processes are gone")
        number = next(self._ids)
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            message = {"id": number, "op": operation, "fds": len(fds), **fields}
            await self._send(json.dumps(message).encode(), fds)
            async with asyncio.timeout(timeout_s):
                reply = await future
        except TimeoutError:
            text = f"{operation} was not answered within {timeout_s:g} s"
            raise AgentError("ETIMEDOUT", text) from None
        finally:
            self._waiting.pop(number, None)
        if "error" in reply:
            raise AgentError(str(reply["error"])[:32], str(reply.get("message", ""))[:4096])
        return reply

    async def _send(self, payload: bytes, fds: Sequence[int]) -> None:
        if len(payload) > FRAME_LIMIT_BYTES:
            raise AgentError("EMSGSIZE", f"the request is larger than {FRAME_LIMIT_BYTES} bytes")
        frame = len(payload).to_bytes(4, "big") + payload
        loop = asyncio.get_running_loop()
        try:
            async with self._sending:
                sent = 0
                while fds and not sent:
                    with contextlib.suppress(BlockingIOError):
                        sent = socket.send_fds(self._socket, [frame[:4096]], list(fds))
                        break
                    await until_writable(self._socket.fileno())
                await loop.sock_sendall(self._socket, frame[sent:])
        except OSError as error:
            raise AgentGoneError(f"the desktop's agent is gone: {error}") from None

    async def _read_exactly(self, count: int) -> bytes:
        loop = asyncio.get_running_loop()
        parts = bytearray()
        while len(parts) < count:
            data = await loop.sock_recv(self._socket, min(1 << 18, count - len(parts)))
            if not data:
                raise EOFError
            parts += data
        return bytes(parts)

    async def _read_forever(self) -> None:
        try:
            while True:
                length = int.from_bytes(await self._read_exactly(4), "big")
                if length > FRAME_LIMIT_BYTES:
                    break
                self._deliver(json.loads(await self._read_exactly(length)))
        except (EOFError, OSError, ValueError, TypeError, RecursionError):
            pass  # gone, or no longer speaking our language: either way there is no agent
        finally:
            self._close()

    def _deliver(self, message: Any) -> None:
        if not isinstance(message, dict):
            raise TypeError("not an object")
        if message.get("ready") is True:
            self.ready.set()
            return
        if isinstance(pid := message.get("exit"), int):
            status = message.get("status")
            self._on_exit(pid, status if isinstance(status, int) else -9)
            return
        if isinstance(key := message.get("watch"), str):
            if key in self.hints:
                self.hints[key].set()
            return
        if isinstance(number := message.get("egress"), int):
            self.on_egress(number)
            return
        future = self._waiting.get(_as_id(message.get("id")))
        if future is not None and not future.done():
            future.set_result(message)

    def _close(self) -> None:
        self._socket.close()
        self.closed.set()
        for hint in self.hints.values():
            hint.set()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(AgentGoneError("the desktop's processes ended"))

    async def aclose(self) -> None:
        """Stop reading and close the socket. Idempotent."""
        self._reader.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reader


def _ignore(_number: int) -> None:
    """Do nothing: no way out is offered."""


def _as_id(value: Any) -> int:
    return value if isinstance(value, int) else 0
