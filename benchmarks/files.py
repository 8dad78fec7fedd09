"""Files in and out of a desktop: small ones, many at once, and one too large for memory."""

import itertools
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
from e2b.sandbox.filesystem.filesystem import WriteEntry
from e2b_code_interpreter.code_interpreter_async import AsyncSandbox

from benchmarks.commands import FLAT_MIB, GIB
from benchmarks.measure import Row, blocking, peak_growth_mib, row, times_ms
from benchmarks.subject import Subject

KIB = b"x" * 1024
MANY = 1000


async def measure_files(subject: Subject, repeats: int) -> list[Row]:
    """Measure 1 KiB each way, 1,000 files in one call, and 1 GiB each way."""
    async with subject.desktop() as desktop:
        write = await times_ms(lambda: desktop.files.write("small", KIB), repeats, warm_up=10)
        read = await times_ms(lambda: desktop.files.read("small"), repeats, warm_up=10)
        rounds = itertools.count()

        async def write_new() -> None:
            folder = f"many/{next(rounds)}"
            await desktop.files.write_files(
                [WriteEntry(path=f"{folder}/{n}.txt", data=KIB) for n in range(MANY)]
            )

        many = await times_ms(write_new, max(5, repeats // 20))
        up, up_s = await peak_growth_mib(subject.pid, _upload(subject, desktop))
        down, down_s = await peak_growth_mib(subject.pid, _download(subject, desktop))
    with tempfile.TemporaryDirectory() as name:
        path, folder = Path(name, "small"), Path(name)
        bare_write = await times_ms(blocking(lambda: path.write_bytes(KIB)), repeats)
        bare_read = await times_ms(blocking(path.read_bytes), repeats)
        bare_many = await times_ms(blocking(lambda: _write_many(folder)), 5, warm_up=0)
    goal = f"<= {FLAT_MIB}"
    return [
        row("write 1 KiB", write, 2, limit="open, write, close", limits=bare_write),
        row("read 1 KiB", read, 2, limit="open, read, close", limits=bare_read),
        row("write 1,000 new files in one call", many, 150, limit="a plain loop", limits=bare_many),
        Row(f"1 GiB up in {up_s:.1f} s: server memory", "MiB", up, up, 1, goal, up <= FLAT_MIB),
        Row(f"1 GiB down in {down_s:.1f} s: server memory", "MiB", down, down, 1, goal,
            down <= FLAT_MIB),
    ]  # fmt: skip


def _write_many(folder: Path) -> None:
    folder = Path(tempfile.mkdtemp(dir=folder))
    for number in range(MANY):
        (folder / f"{number}.txt").write_bytes(KIB)


def _address(subject: Subject, desktop: AsyncSandbox) -> dict[str, object]:
    return {
        "url": f"{subject.options['sandbox_url']}/files",
        "params": {"path": "/home/user/large"},
        "headers": {
            "E2b-Sandbox-Id": desktop.sandbox_id,
            "E2b-Sandbox-Port": "49983",
            "X-Access-Token": str(desktop._envd_access_token),  # no public way
            "Accept-Encoding": "identity",
        },
    }


async def _upload(subject: Subject, desktop: AsyncSandbox) -> None:
    """Send 1 GiB as a stream; the SDK would hold all of it in memory first."""
    address = _address(subject, desktop)
    address["headers"]["Content-Type"] = "application/octet-stream"  # type: ignore[index]
    async with httpx.AsyncClient(timeout=600, trust_env=False) as client:
        reply = await client.post(content=_zeros(), **address)  # type: ignore[arg-type]
    reply.raise_for_status()


async def _zeros() -> AsyncIterator[bytes]:
    chunk = bytes(1 << 20)
    for _ in range(GIB // len(chunk)):
        yield chunk


async def _download(subject: Subject, desktop: AsyncSandbox) -> None:
    received = 0
    async with (
        httpx.AsyncClient(timeout=600, trust_env=False) as client,
        client.stream("GET", **_address(subject, desktop)) as reply,  # type: ignore[arg-type]
    ):
        async for chunk in reply.aiter_raw():
            received += len(chunk)
    assert received == GIB, f"{received} of {GIB} bytes arrived"
