"""A gibibyte through the server, each way: its memory stays flat."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import httpx
import pytest
from e2b import AsyncSandbox

from sentient_desktop import Endpoint

GIB = 1 << 30
CHUNK = bytes(1 << 20)
GROWTH_LIMIT_BYTES = 50 << 20

pytestmark = pytest.mark.long


def _memory(pid: int, field: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) << 10


@pytest.fixture
def flat(server: Endpoint) -> Iterator[Callable[[], None]]:
    """Fail a test during which the server's memory ever grew by more than the bound."""
    pid = httpx.get(f"{server.url}/health").json()["pid"]
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # begin a new high-water mark
    before = _memory(pid, "VmRSS")

    def check() -> None:
        assert _memory(pid, "VmHWM") - before <= GROWTH_LIMIT_BYTES

    yield check
    check()


async def _gibibyte() -> AsyncIterator[bytes]:
    for _ in range(GIB // len(CHUNK)):
        yield CHUNK


async def test_gibibyte_up_and_down_takes_no_memory(
    desktop: AsyncSandbox, flat: Callable[[], None]
) -> None:
    await desktop.files.write("big", _gibibyte(), request_timeout=600)
    flat()
    assert (await desktop.files.get_info("big")).size == GIB
    stream = await desktop.files.read("big", format="stream", request_timeout=600)
    received = 0
    async for chunk in stream:
        received += len(chunk)
    assert received == GIB


async def test_gibibyte_of_output_to_a_reader_takes_no_memory(
    desktop: AsyncSandbox, server: Endpoint, flat: Callable[[], None]
) -> None:
    program = "head -c 1073741824 /dev/zero; echo done >&2"
    body = (
        b'{"process":{"cmd":"/bin/bash","args":["-c","' + program.encode() + b'"]},"stdin":false}'
    )
    headers = {
        "e2b-sandbox-id": desktop.sandbox_id,
        "e2b-sandbox-port": "49983",
        "x-access-token": str(desktop._envd_access_token),
        "content-type": "application/connect+json",
    }
    frame = b"\0" + len(body).to_bytes(4, "big") + body
    received = 0
    async with (
        httpx.AsyncClient(base_url=server.url, headers=headers, timeout=600) as client,
        client.stream("POST", "/process.Process/Start", content=frame) as answer,
    ):
        async for chunk in answer.aiter_bytes():
            received += len(chunk)
    assert received > GIB * 4 // 3  # base64, in envelopes
    flat()


async def test_gibibyte_of_output_nobody_reads_takes_no_memory(
    desktop: AsyncSandbox, flat: Callable[[], None]
) -> None:
    program = "sleep 0.2; head -c 1073741824 /dev/zero; echo > ended; sleep 600"
    command = await desktop.commands.run(program, background=True)
    await command.disconnect()
    await desktop.commands.run("until [ -e ended ]; do sleep 0.05; done", timeout=100)
    flat()
