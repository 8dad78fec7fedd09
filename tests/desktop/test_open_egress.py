"""Desktops connected to the internet by pasta or slirp4netns: what stays closed all the same.

Nothing outside is contacted: the open way itself shows in the routes, the fence in what fails.
"""

import asyncio
import errno
import itertools
import json
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from e2b import AsyncSandbox

from sentient_desktop import Endpoint, stop_server
from sentient_desktop.sandbox.uplink import find_program

TUN = Path("/dev/net/tun")

pytestmark = [
    pytest.mark.skipif(find_program() is None, reason="neither pasta nor slirp4netns is installed"),
    pytest.mark.skipif(
        not TUN.exists() or not stat.S_IMODE(TUN.stat().st_mode) & stat.S_IWOTH,
        reason="/dev/net/tun is not for ordinary users on this machine",
    ),
]

PROBE = """
import os, socket, sys
print(sorted(name for name in os.environ if "proxy" in name.lower()))
print(any(line.startswith("uplink\\t00000000") for line in open("/proc/net/route")))
for address in sys.argv[2:]:
    connection = socket.socket()
    connection.settimeout(1)
    print(address, connection.connect_ex((address, int(sys.argv[1]))))
"""


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Endpoint, int]]:
    """A server whose operator wants open ways to the internet, and its pid."""
    folder = tmp_path_factory.mktemp("opened") / "data"
    argv = [sys.executable, "-P", "-m", "sentient_desktop", "serve", "--data-dir", str(folder)]
    with subprocess.Popen([*argv, "--open-egress"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        endpoint = json.loads(process.stdout.readline())
        yield Endpoint(endpoint["url"], endpoint["api_key"]), process.pid
        stop_server(folder)


@pytest.fixture
def opened(serving: tuple[Endpoint, int]) -> Endpoint:
    return serving[0]


@pytest.fixture
def canary() -> Iterator[int]:
    """A service on every address of this machine; its port."""
    with socket.create_server(("0.0.0.0", 0)) as server:
        yield server.getsockname()[1]
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()


def own_addresses() -> list[str]:
    lines = Path("/proc/net/fib_trie").read_text().splitlines()
    pairs = itertools.pairwise(lines)
    return sorted({above.split()[-1] for above, line in pairs if "host LOCAL" in line})


async def look(desktop: AsyncSandbox, port: int, *addresses: str) -> tuple[Any, bool, set[str]]:
    """Return the proxy variables, whether there is a way out, and what errors connecting gave."""
    await desktop.files.write("p.py", PROBE)
    answer = await desktop.commands.run(f"python3 p.py {port} {' '.join(addresses)}")
    variables, routed, *lines = answer.stdout.splitlines()
    return json.loads(variables.replace("'", '"')), routed == "True", {x.split()[1] for x in lines}


async def test_open_desktop_reaches_nothing_of_this_machine_and_nothing_private(
    opened: Endpoint, options_for: Callable[[Endpoint], dict[str, Any]], canary: int
) -> None:
    one = await AsyncSandbox.create("base", **options_for(opened))
    other = await AsyncSandbox.create("base", **options_for(opened))
    await one.commands.run(f"python3 -m http.server {canary}", background=True)
    private = ["10.0.0.1", "169.254.169.254", "192.168.1.1", "172.17.0.1", "100.64.0.1"]
    host = [address for address in own_addresses() if not address.startswith("127.")]
    variables, routed, errors = await look(other, canary, *private, *host)
    assert (variables, routed) == ([], True)
    assert errors == {str(errno.EHOSTUNREACH)}
    # The gateway and its neighbours are the program's own; 100 is the desktop itself.
    _, _, errors = await look(
        other, canary, "127.0.0.1", "198.51.100.2", "198.51.100.3", "198.51.100.100"
    )
    assert "0" not in errors
    for desktop in (one, other):
        await desktop.kill()


async def test_rules_close_the_way_and_it_ends_with_the_desktop(
    serving: tuple[Endpoint, int],
    options_for: Callable[[Endpoint], dict[str, Any]],
    canary: int,
) -> None:
    endpoint, server = serving
    desktop = await AsyncSandbox.create("base", **options_for(endpoint))
    assert len(programs(server)) == 1
    assert 0 not in programs(server)
    await desktop.update_network({"deny_out": ["8.8.8.8"]})
    variables, routed, _ = await look(desktop, canary)
    assert "http_proxy" in variables
    assert not routed
    await desktop.update_network({})
    assert (await look(desktop, canary))[:2] == ([], True)
    await desktop.pause(keep_memory=False)
    await until_none_is_left(server)
    await desktop.connect()
    assert (await look(desktop, canary))[:2] == ([], True)
    await desktop.kill()
    await until_none_is_left(server)


def programs(server: int) -> list[int]:
    """Return the uids of the programs a server runs: it, its spawner, a minder, the program."""
    parents, uids = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            parents[int(folder.name)] = int(fields[1])
            name = Path((folder / "cmdline").read_bytes().split(b"\0")[0].decode()).name
            if name in {"pasta", "slirp4netns"}:
                uids[int(folder.name)] = folder.stat().st_uid
    spawners = {pid for pid, parent in parents.items() if parent == server}
    minders = {pid for pid, parent in parents.items() if parent in spawners}
    return [uid for pid, uid in uids.items() if parents[pid] in minders]


async def until_none_is_left(server: int) -> None:
    async with asyncio.timeout(10):
        while programs(server):
            await asyncio.sleep(0.02)
