"""Lets installers in a desktop without a network ask the package service on this machine.

Goes through nothing but what the E2B SDK offers, a command's output and files, so it works on any
server, and no address or credential of an index is ever in the desktop.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from tools.desktop import Desktop
from tools.desktop_files import PART_BYTES
from tools.environment.service import Answer
from tools.errors import EnvironmentFaultError, SentientError
from tools.layout import CONTROL, PROGRAMS

FOLDER = f"{CONTROL}/relay"
START_TIMEOUT_S = 30
ASKS = 20_000
"""Requests of one desktop that are answered."""

AT_ONCE = 8
LINE_LIMIT = 4096


@asynccontextmanager
async def relayed(
    desktop: Desktop, answer: Callable[[str], Awaitable[Answer]], *, timeout_s: float
) -> AsyncIterator[str]:
    """Serve a desktop's installers for `timeout_s` at most; gives the address to be used inside.

    Raises:
        EnvironmentFaultError: the relay does not start there.
    """
    relay = _Relay(desktop, answer)
    process = await desktop.start(
        "python",
        ["-I", f"{PROGRAMS}/index_relay.py", FOLDER],
        timeout_s=timeout_s,
        on_stdout=relay.take,
    )
    try:
        yield f"http://127.0.0.1:{await relay.port()}"
    finally:
        relay.close()
        with suppress(SentientError):
            await process.kill()


class _Relay:
    """Reads what the relay prints, which anything in the desktop could print as well."""

    def __init__(self, desktop: Desktop, answer: Callable[[str], Awaitable[Answer]]) -> None:
        self._desktop, self._answer = desktop, answer
        self._rest, self._asked = "", 0
        self._port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    async def port(self) -> int:
        """The port on which the relay listens."""
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                return await self._port
        except TimeoutError as error:
            text = f"the package relay in the desktop does not start within {START_TIMEOUT_S} s"
            raise EnvironmentFaultError(text) from error

    def take(self, piece: str) -> None:
        """Take output of the relay."""
        *lines, rest = (self._rest + piece).split("\n")
        self._rest = rest if len(rest) <= LINE_LIMIT else ""
        for line in lines:
            with suppress(ValueError):
                self._take(json.loads(line[:LINE_LIMIT]))

    def _take(self, value: Any) -> None:
        match value:
            case {"port": int(port)} if 0 < port < 1 << 16 and not self._port.done():
                self._port.set_result(port)
            case {"ask": int(number), "path": str(path)} if self._asked < ASKS:
                self._asked += 1
                task = asyncio.create_task(self._serve(number, path))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _serve(self, number: int, path: str) -> None:
        async with self._slots:
            with suppress(SentientError):  # the desktop is gone: so is who asked
                await self._send(number, await self._answer(path))

    async def _send(self, number: int, answer: Answer) -> None:
        place, body = f"{FOLDER}/{number}", answer.body
        if isinstance(body, Path):
            size = (await asyncio.to_thread(body.stat)).st_size
            await self._desktop.fs.upload(place, body)
        else:
            size = len(body)
            for part in range(max(1, -(-size // PART_BYTES))):
                piece = body[part * PART_BYTES : (part + 1) * PART_BYTES]
                await self._desktop.fs.write_file(f"{place}.{part:04d}", piece)
        head = {"status": answer.status, "type": answer.kind, "bytes": size}
        head["parts"] = max(1, -(-size // PART_BYTES))
        await self._desktop.fs.write_file(f"{place}.json", json.dumps(head))

    def close(self) -> None:
        """Answer nothing more."""
        for task in self._tasks:
            task.cancel()
