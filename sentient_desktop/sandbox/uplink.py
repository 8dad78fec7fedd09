"""An open way to the internet for one desktop: pasta or slirp4netns on its network namespace.

The program runs on the host under the desktop's own uid, never as root. It carries IPv4 to wherever
its routes lead, so the routes are the fence: before it starts, everything that is not the internet
is made unreachable inside the namespace, where the guest has no right to change routes. Its host
loopback is closed, too.
"""

import asyncio
import contextlib
import fcntl
import itertools
import os
import shutil
import signal
import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from sentient_desktop.errors import BootError
from sentient_desktop.sandbox.boot import RunningJail, Spawner
from sentient_desktop.sandbox.pipes import close_all
from sentient_desktop.sandbox.runtime import NAMESERVER

PROGRAMS = ("pasta", "slirp4netns")

SUBNET = "198.51.100.0/24"
"""The guest's side, out of a block reserved for documentation: it cannot hide a real network."""

START_TIMEOUT_S = 5.0
POLL_S = 0.005

_GUEST, _GATEWAY = "198.51.100.100", "198.51.100.2"
_NETNS, _USERNS = "/proc/self/fd/3", "/proc/self/fd/4"
_NS_GET_USERNS = 0xB701

_NOT_INTERNET = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "168.63.129.16/32", "169.254.0.0/16",
    "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16",
    "198.18.0.0/15", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
)  # fmt: skip


def find_program() -> str | None:
    """Return the path of the first program found."""
    return next((path for name in PROGRAMS if (path := shutil.which(name))), None)


def build_command(program: str) -> list[str]:
    """Return the command line; the namespaces are open as descriptors 3 (network) and 4 (user)."""
    if Path(program).name == "pasta":
        return [
            program, "--foreground", "--quiet", "--ipv4-only", "--config-net", "--no-map-gw",
            *("-t", "none", "-u", "none", "-T", "none", "-U", "none"),
            *("--address", _GUEST, "--netmask", "24", "--gateway", _GATEWAY),
            *("--ns-ifname", "uplink", "--dns-forward", NAMESERVER),
            *("--userns", _USERNS, "--netns", _NETNS),
        ]  # fmt: skip
    return [
        program, "--configure", "--disable-host-loopback", "--mtu=65520", f"--cidr={SUBNET}",
        "--netns-type=path", f"--userns-path={_USERNS}", _NETNS, "uplink",
    ]  # fmt: skip


def find_fenced() -> list[IPv4Network]:
    """Return what must stay unreachable: all that is private, and all this machine is a part of."""
    found = {IPv4Network(block) for block in _NOT_INTERNET}
    routes = Path("/proc/net/route").read_text().splitlines()[1:]
    for fields in (line.split() for line in routes):
        network, gateway, mask = (int(fields[n], 16).to_bytes(4, "little") for n in (1, 2, 7))
        if not any(gateway) and any(mask):
            found.add(IPv4Network((network, str(IPv4Address(mask)))))
    lines = Path("/proc/net/fib_trie").read_text().splitlines()
    for above, line in itertools.pairwise(lines):
        if "host LOCAL" in line:
            found.add(IPv4Network(above.split()[-1]))
    return sorted(network for network in found if not network.is_loopback)


def _encode_route(network: IPv4Network) -> str:
    """Return, in hexadecimal, the netlink request that makes a block unreachable."""
    route = struct.pack("=8BI", 2, network.prefixlen, 0, 0, 254, 4, 0, 7, 0)
    target = struct.pack("=HH4s", 8, 1, network.network_address.packed)
    flags = 0x1 | 0x4 | 0x100 | 0x400  # request, acknowledge, replace, create
    return (struct.pack("=IHHII", 36, 24, flags, 1, 0) + route + target).hex()


@dataclass
class Uplink:
    """A running program: the pid of its minder, and whether it ended."""

    pid: int
    ended: asyncio.Event

    def stop(self) -> None:
        """End it; the minder ends the program."""
        if not self.ended.is_set():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)


async def open_uplink(
    spawner: Spawner, jail: RunningJail, *, program: str, uid: int | None, log: Path
) -> Uplink:
    """Fence a desktop's network namespace and connect it; returns when it has its route.

    Raises:
        BootError: with the last line the program wrote to ``log``.
    """
    fds: list[int] = []
    try:
        fds.append(os.open(f"/proc/{jail.init_pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC))
        fds.append(fcntl.ioctl(fds[0], _NS_GET_USERNS))
        fds.append(os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC))
        fds.append(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600))
        routes = [_encode_route(network) for network in find_fenced()]
        pid, ended = await spawner.mind(build_command(program), routes=routes, uid=uid, fds=fds)
    except OSError as error:
        raise BootError(f"the desktop's network namespace is closed to us: {error}") from error
    finally:
        close_all(fds)
    uplink = Uplink(pid, ended)
    for _ in range(int(START_TIMEOUT_S / POLL_S)):
        if ended.is_set():
            break
        if _has_route(jail.init_pid):
            return uplink
        await asyncio.sleep(POLL_S)
    uplink.stop()
    raise BootError(f"{program} did not connect the desktop: {_last_line(log)}")


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def _has_route(pid: int) -> bool:
    with contextlib.suppress(OSError):
        routes = Path(f"/proc/{pid}/net/route").read_text().splitlines()[1:]
        return any(line.split()[:2] == ["uplink", "00000000"] for line in routes)
    return False
