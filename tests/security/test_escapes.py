"""Nothing gets out: every attempt in every mode, with its harmless twin and its canary.

The modes are how a server may run: as root (desktops get uids of their own), as an ordinary user,
and as the lone root of a container whose files are an overlay.
"""

import asyncio
import json
import os
import platform
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import other_user
import pytest
from attempts.kit import holds
from attempts.tables import ATTEMPTS
from desktop_fixtures import sdk_options
from e2b import AsyncSandbox

from sentient_desktop import Endpoint

ROOT = Path(__file__).parents[2]
MODES = ("root", "ordinary", "nested")
FEWEST = 120
SECOND_WALL = {"nested": "host pids"}
"""A wall that shows nothing when it falls, because the container is a second one behind it."""
assert platform.machine() == "x86_64", "the attempts carry x86_64 call numbers"

by_name = {attempt.name: attempt for attempt in ATTEMPTS}


def prefix(mode: str) -> list[str]:
    """Return what makes a program run in a mode."""
    if mode == "root":
        return []
    folders = [sys.base_prefix, sys.prefix, str(ROOT)]
    return [sys.executable, other_user.__file__, mode, *folders, "--"]


@contextmanager
def planted(mode: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Plant what attacks look for: a readable file, a socket, a service, a name, a process."""
    with (
        tempfile.TemporaryDirectory(dir="/var/tmp", prefix="attempts-") as name,
        socket.create_server(("127.0.0.1", 0)) as service,
        socket.socket(socket.AF_UNIX) as abstract,
        socket.socket(socket.AF_UNIX) as bound,
    ):
        folder = Path(name)
        shared, data = folder / "shared", folder / "data"
        shared.mkdir()
        (shared / "canary").write_text("of the host")
        abstract.bind(f"\0attempts-{os.getpid()}-{mode}")
        abstract.listen(64)
        bound.bind(str(shared / "socket"))
        bound.listen(64)
        (shared / "socket").chmod(0o777)
        data.mkdir()
        if mode != "root" and os.geteuid() == 0:
            for path in (folder, data, shared, shared / "canary"):
                os.chown(path, other_user.UID, other_user.UID)
        folder.chmod(0o755)
        shared.chmod(0o755)
        yield folder, {
            "canary": str(shared / "canary"), "shared": str(shared), "data": str(data),
            "socket": str(shared / "socket"), "port": service.getsockname()[1],
            "abstract": f"attempts-{os.getpid()}-{mode}", "pid": os.getppid(),
        }  # fmt: skip


def _port(endpoint: Endpoint) -> int:
    return int(endpoint.url.rpartition(":")[2])


async def run(program: list[str], place: dict[str, Any]) -> asyncio.subprocess.Process:
    environment = {
        "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1",
        "ATTEMPT_PLACE": json.dumps(place), "HOME": place["data"],
    }  # fmt: skip
    return await asyncio.create_subprocess_exec(
        *program, env=environment, cwd="/", stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip


@asynccontextmanager
async def serving(mode: str, data: Path, place: dict[str, Any]) -> AsyncIterator[Endpoint]:
    """Run a server of its own in a mode, until the context ends."""
    command = [*prefix(mode), sys.executable, "-m", "sentient_desktop", "serve"]
    server = await run([*command, "--data-dir", str(data)], place)
    assert server.stdout is not None
    try:
        line = await server.stdout.readline()
        assert line, "the server did not start"
        said = json.loads(line)
        yield Endpoint(said["url"], said["api_key"])
    finally:
        if server.returncode is None:
            server.terminate()
        await server.wait()


async def attack(endpoint: Endpoint, place: dict[str, Any]) -> dict[str, list[str]]:
    """Run every attempt with its twin inside one desktop."""
    desktop = await AsyncSandbox.create("base", **sdk_options(endpoint))
    other = await AsyncSandbox.create("base", **sdk_options(endpoint))
    seen = {
        **place,
        "server": _port(endpoint),
        "other": f"{place['data']}/desktops/{other.sandbox_id}",
    }
    for source in (Path(__file__).parent / "attempts").glob("*.py"):
        await desktop.files.write(f"/workspace/attempts/{source.name}", source.read_bytes())
    done = await desktop.commands.run(
        "python -W ignore -B -m attempts 1", cwd="/workspace", timeout=100,
        envs={"ATTEMPT_PLACE": json.dumps(seen)},
    )  # fmt: skip
    assert (await desktop.commands.run("echo alive")).stdout == "alive\n"
    await desktop.kill()
    await other.kill()
    results: dict[str, list[str]] = json.loads(done.stdout)
    return results


async def breach(mode: str, folder: Path, place: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Run the attempts again in jails that lack one wall each."""
    script = str(Path(__file__).with_name("canaries.py"))
    own = folder / "data" / "canaries"
    command = [*prefix(mode), sys.executable, script, str(own), str(folder / "data/templates")]
    process = await run(command, place)
    output, _ = await process.communicate()
    found: dict[str, dict[str, Any]] = json.loads(output)
    return found


async def test_attempts_fail_and_twins_succeed_in_an_ordinary_run(server: Endpoint) -> None:
    with planted("root") as (_, place):
        results = await attack(server, place)
    assert len(results) == len(ATTEMPTS) >= FEWEST
    assert judge(results) == ({}, {})


@pytest.mark.long
@pytest.mark.parametrize("mode", MODES)
async def test_attempts_fail_twins_succeed_and_canaries_bite(
    mode: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if mode == "root" and os.geteuid() != 0:
        pytest.skip("a server is root only when the tests are")
    with planted(mode) as (folder, place):
        async with serving(mode, folder / "data", place) as endpoint:
            results = await attack(endpoint, place)
            canaries = await breach(mode, folder, {**place, "server": _port(endpoint)})
    assert len(results) == len(by_name) == len(ATTEMPTS) >= FEWEST
    escaped, lame = judge(results)
    bitten, silent = judge_canaries(canaries, SECOND_WALL.get(mode, ""))
    with capsys.disabled():
        sys.stdout.write(
            f"\n{mode}: {len(results)} attempts, {len(results) - len(escaped)} blocked, "
            f"{len(results) - len(lame)} twins succeeded, {len(bitten)} canaries bit\n"
        )
    assert (escaped, lame, silent) == ({}, {}, {})


def judge(results: dict[str, list[str]]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the attacks that were not stopped, and the twins that were."""
    escaped = {n: found for n, (found, _) in results.items() if not holds(by_name[n], found)}
    lame = {n: twin for n, (_, twin) in results.items() if _failed(twin)}
    return escaped, lame


def _failed(twin: str) -> bool:
    return twin.startswith(("E", "SIG")) or "Error" in twin


def judge_canaries(
    found: dict[str, dict[str, Any]], second_wall: str
) -> tuple[set[str], dict[str, Any]]:
    """Return which attempts got through without their wall, and which did not with what."""
    bitten, silent = set(), {}
    for attempt in ATTEMPTS:
        if attempt.canary.startswith("none: ") or attempt.canary == second_wall:
            continue
        results = found[attempt.canary]
        if attempt.name not in results:
            silent[attempt.name] = results
        elif holds(attempt, results[attempt.name][0]):
            silent[attempt.name] = results[attempt.name][0]
        else:
            bitten.add(attempt.name)
    return bitten, silent
