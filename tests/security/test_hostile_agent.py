"""An agent that is the enemy: whatever it sends, the host's end stays bounded and answers."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator

import pytest

from sentient_desktop.envd.commands import EARLY_LIMIT, CommandTable
from sentient_desktop.errors import AgentError, AgentGoneError
from sentient_desktop.sandbox.channel import AgentChannel
from sentient_desktop.settings import FRAME_LIMIT_BYTES

Ends = tuple[AgentChannel, socket.socket, list[tuple[int, int]]]


def frame(payload: bytes) -> bytes:
    return len(payload).to_bytes(4, "big") + payload


@pytest.fixture
async def ends() -> AsyncIterator[Ends]:
    """The host's channel, the hostile end, and the exits the host believed."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    exits: list[tuple[int, int]] = []
    channel = AgentChannel(ours, lambda pid, status: exits.append((pid, status)))
    yield channel, theirs, exits
    await channel.aclose()
    theirs.close()


@pytest.mark.parametrize(
    "sent",
    [
        (FRAME_LIMIT_BYTES + 1).to_bytes(4, "big"),
        b"\xff\xff\xff\xff",
        frame(b"["),
        frame(b"[" * 100_000),
        frame(b'{"id":' + b"9" * 5000 + b"}"),
        frame(b"[]"),
        frame(b'"ready"'),
        frame(b"\xff\xfe"),
    ],
    ids=["long", "longest", "cut", "deep", "digits", "list", "text", "bytes"],
)
async def test_nonsense_ends_the_channel_and_fails_who_waits(ends: Ends, sent: bytes) -> None:
    channel, theirs, _ = ends
    waiting = asyncio.create_task(channel.call("ping"))
    await asyncio.sleep(0)
    await asyncio.get_running_loop().sock_sendall(theirs, sent)
    async with asyncio.timeout(10):
        await channel.closed.wait()
        with pytest.raises(AgentGoneError):
            await waiting
    with pytest.raises(AgentGoneError):
        await channel.call("ping")


async def test_forged_replies_answer_only_what_waits(ends: Ends) -> None:
    channel, theirs, exits = ends
    loop = asyncio.get_running_loop()
    for forged in ({"id": 99}, {"id": "1"}, {"exit": "5"}, {"exit": 7, "status": []}):
        await loop.sock_sendall(theirs, frame(json.dumps(forged).encode()))
    answer = asyncio.create_task(channel.call("ping"))
    await asyncio.sleep(0)
    for number in (2, 1, 1):  # of no request, of the one that waits, and once more
        await loop.sock_sendall(theirs, frame(json.dumps({"id": number, "n": number}).encode()))
    assert await answer == {"id": 1, "n": 1}
    assert exits == [(7, -9)]
    assert not channel.closed.is_set()


async def test_agent_that_never_answers_costs_its_deadline_only(ends: Ends) -> None:
    channel, _, _ = ends
    with pytest.raises(AgentError, match="not answered"):
        await channel.call("ping", timeout_s=0.05)
    assert channel._waiting == {}


async def test_error_of_a_hostile_agent_is_cut(ends: Ends) -> None:
    channel, theirs, _ = ends
    call = asyncio.create_task(channel.call("ping"))
    await asyncio.sleep(0)
    reply = {"id": 1, "error": "E" * 10**6, "message": ["x" * 10**6]}
    await asyncio.get_running_loop().sock_sendall(theirs, frame(json.dumps(reply).encode()))
    with pytest.raises(AgentError) as caught:
        await call
    assert len(caught.value.errno_name) <= 32
    assert len(caught.value.message) <= 4096


def test_ends_of_orphans_are_neither_kept_nor_believed_later() -> None:
    table = CommandTable()
    for pid in range(100_000):
        table.on_exit(pid, 0)
    assert table._early_exits == {}
    with table.starting():
        for pid in range(100_000):
            table.on_exit(pid, 0)
        assert len(table._early_exits) == EARLY_LIMIT
        assert 99_999 in table._early_exits, "the newest end may be the one waited for"
    assert table._early_exits == {}
