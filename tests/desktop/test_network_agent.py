"""An agent that lies about connections to the way out gains nothing and costs a bounded amount."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

from sentient_desktop.network.dialer import Outside
from sentient_desktop.network.gate import DESKTOP_LIMIT, WAITING_LIMIT, Border, Gate
from sentient_desktop.network.policy import Policy
from sentient_desktop.sandbox.boot import RunningJail
from sentient_desktop.sandbox.channel import AgentChannel


def frame(message: dict[str, Any]) -> bytes:
    body = json.dumps(message).encode()
    return len(body).to_bytes(4, "big") + body


async def requests(reader: asyncio.StreamReader) -> AsyncIterator[dict[str, Any]]:
    while True:
        size = int.from_bytes(await reader.readexactly(4), "big")
        yield json.loads(await reader.readexactly(size))


async def test_flood_of_announcements_is_answered_up_to_the_bound_and_forgotten_beyond() -> None:
    ours, theirs = socket.socketpair()
    channel = AgentChannel(ours, lambda _pid, _status: None)
    reader, writer = await asyncio.open_unix_connection(sock=theirs)
    seen = requests(reader)
    border = Border(Outside())
    gate = Gate("i0", border)
    jail = RunningJail(0, 0, channel, asyncio.Event())
    applying = asyncio.create_task(gate.apply(jail, Policy(internet=True), None))
    listen = await anext(seen)
    writer.write(frame({"id": listen["id"]}))
    await applying
    for number in range(20_000):
        writer.write(frame({"egress": number}))
    await writer.drain()
    numbers = []
    for _ in range(DESKTOP_LIMIT):
        request = await anext(seen)
        assert request["op"] == "adopt"
        numbers.append(request["number"])
    assert numbers == list(range(DESKTOP_LIMIT))
    # Refusing one makes room for one more, out of the few that are remembered.
    writer.write(frame({"id": request["id"], "error": "EBADF"}))
    assert (await anext(seen))["number"] >= 20_000 - WAITING_LIMIT
    assert border.open == DESKTOP_LIMIT
    writer.close()
    await channel.closed.wait()
    async with asyncio.timeout(10):
        while border.open:
            await asyncio.sleep(0.01)
    await channel.aclose()
    border.close()
