"""Commands: the smallest one, the flood that must not grow the server, and the crowded machine."""

import asyncio
import json
import subprocess
from pathlib import Path

import httpx
from e2b_code_interpreter.code_interpreter_async import AsyncSandbox

from benchmarks.measure import Row, blocking, peak_growth_mib, percentile, row, times_ms
from benchmarks.subject import Subject
from sentient_desktop.sandbox.freeze import walk_tree

GIB = 1 << 30
FLAT_MIB = 50
IDLE_MIB = 8


async def measure_commands(subject: Subject, repeats: int) -> list[Row]:
    """Measure ``commands.run("true")`` and 1 GiB of stdout."""
    bare = blocking(lambda: subprocess.run(["bash", "-c", "true"], check=True))
    limits = await times_ms(bare, repeats)
    async with subject.desktop() as desktop:
        runs = await times_ms(lambda: desktop.commands.run("true"), repeats, warm_up=10)
        growth, seconds = await peak_growth_mib(subject.pid, _flood(subject, desktop))
    name = f"1 GiB of stdout in {seconds:.1f} s: server memory"
    return [
        row('commands.run("true")', runs, 4, limit="bash -c true", limits=limits),
        Row(name, "MiB", growth, growth, 1, f"<= {FLAT_MIB}", growth <= FLAT_MIB),
    ]


async def _flood(subject: Subject, desktop: AsyncSandbox) -> None:
    """Follow 1 GiB of output over the bare protocol: the SDK would gather all of it in one text."""
    command = f"head -c {GIB} /dev/zero"
    message = {"process": {"cmd": "/bin/bash", "args": ["-c", command]}, "stdin": False}
    payload = json.dumps(message).encode()
    request = {
        "url": f"{subject.options['sandbox_url']}/process.Process/Start",
        "content": b"\0" + len(payload).to_bytes(4, "big") + payload,
        "headers": {
            "E2b-Sandbox-Id": desktop.sandbox_id,
            "E2b-Sandbox-Port": "49983",
            "X-Access-Token": str(desktop._envd_access_token),  # no public way
            "Content-Type": "application/connect+json",
            "Connect-Protocol-Version": "1",
        },
    }
    received = 0
    async with (
        httpx.AsyncClient(timeout=600, trust_env=False) as client,
        client.stream("POST", **request) as reply,  # type: ignore[arg-type]
    ):
        async for chunk in reply.aiter_raw():
            received += len(chunk)
    assert received > GIB, f"only {received} bytes of output arrived"


async def measure_density(subject: Subject, desktops: int) -> list[Row]:
    """Measure what idle desktops weigh, and a command among ``desktops`` live ones."""
    made: list[AsyncSandbox] = []
    async with subject.desktop() as first:
        alone = await times_ms(lambda: first.commands.run("true"), 300, warm_up=10)
        try:
            while len(made) < desktops - 1:
                made.append(await subject.create())
            await asyncio.sleep(2)
            weight = _guests_mib(subject.pid) / desktops
            crowded = await times_ms(lambda: first.commands.run("true"), 300, warm_up=10)
        finally:
            for desktop in made:
                await desktop.kill()
    bound = 3 * percentile(alone, 0.99)
    among = row(f"a command among {desktops} desktops", crowded, bound, p99_goal_ms=bound,
                limit="the same, alone", limits=alone)  # fmt: skip
    name = "idle desktop, proportional memory"
    return [among, Row(name, "MiB", weight, weight, desktops, f"<= {IDLE_MIB}", weight <= IDLE_MIB)]


def _guests_mib(server: int) -> float:
    """Sum the proportional memory of everything the server started, itself left out."""
    total_kib = 0
    for pid in walk_tree(server).keys() - {server}:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total_kib += int(line.split()[1])
    return total_kib / 1024
