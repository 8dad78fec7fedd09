"""Where desktops may go: every decision of the way out, against servers on this machine's loopback.

127.1.1.0/24 plays the internet, by the operator's setting; 127.0.0.1 is the host's own loopback,
with a canary that must never be heard from.
"""

import asyncio
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from e2b import AsyncSandbox
from e2b.exceptions import SandboxException

from sentient_desktop import Endpoint, ensure_server, stop_server

Create = Callable[..., Awaitable[AsyncSandbox]]

ALL = "0.0.0.0/0"
HOSTS = {
    "allowed.example": "127.1.1.1",
    "deep.sub.example": "127.1.1.2",
    "denied.example": "127.1.1.3",
    "rebound.example": "127.0.0.1",
    "metadata.example": "169.254.169.254",
    "mapped.example": "::ffff:127.0.0.1",
    "bücher.example": "127.1.1.1",
}


class Answering(BaseHTTPRequestHandler):
    """Says where it was reached and what it was asked."""

    protocol_version = "HTTP/1.1"
    asked: list[str] = []  # noqa: RUF012 - all of them together are the canary's ears

    def do_GET(self) -> None:
        if self.path == "/two-lengths":
            self.send_response(200)
            self.send_header("content-length", "3")
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"6\r\nlonger\r\n0\r\n\r\n")
            return
        self.asked.append(self.connection.getsockname()[0])
        body = json.dumps({
            "at": self.connection.getsockname()[0], "path": self.path, "headers": dict(self.headers)
        }).encode()  # fmt: skip
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def outside() -> Iterator[int]:
    """One server on every loopback address; its port."""
    server = ThreadingHTTPServer(("0.0.0.0", 0), Answering)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()
    # The canary: nothing was ever reached but what plays the internet.
    assert set(Answering.asked) <= {f"127.1.1.{number}" for number in range(256)}


@pytest.fixture(scope="module")
def gated_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gated") / "data"


@pytest.fixture(scope="module")
def gated(gated_folder: Path) -> Iterator[Endpoint]:
    """A server whose operator lets rules open 127.1.1.0/24."""
    folder = gated_folder
    argv = [sys.executable, "-P", "-m", "sentient_desktop", "serve", "--data-dir", str(folder)]
    argv += ["--private-egress", "127.1.1.0/24"]
    for name, address in HOSTS.items():
        argv += ["--egress-host", f"{name}={address}"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        endpoint = json.loads(process.stdout.readline())
        yield Endpoint(endpoint["url"], endpoint["api_key"])
        stop_server(folder)


@pytest.fixture
def options(gated: Endpoint, options_for: Callable[[Endpoint], dict[str, Any]]) -> dict[str, Any]:
    return options_for(gated)


@pytest.fixture
def create(create: Create) -> Create:
    """Make desktops that may go only where they are told, if they are told."""

    async def make(allow: list[str] | None = None, **choices: Any) -> AsyncSandbox:
        if allow is not None:
            choices["network"] = {"allow_out": allow, "deny_out": [ALL]}
        return await create("base", **choices)

    return make


async def fetch(desktop: AsyncSandbox, url: str, *more: str) -> tuple[str, str]:
    """Fetch inside as any program would; return the status ("000" for none) and the body."""
    command = f"curl -s -m 20 -w '\\n%{{http_code}}' {' '.join(more)} '{url}' || true"
    output = (await desktop.commands.run(command)).stdout
    body, _, status = output.rpartition("\n")
    return status, body


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("allowed.example", "200"),
        ("ALLOWED.Example.", "200"),
        ("xn--bcher-kva.example", "200"),
        ("deep.sub.example", "200"),
        ("sub.example", "403"),
        ("denied.example", "403"),
        ("notallowed.example", "403"),
        ("127.1.1.1", "403"),
        ("127.0.0.1", "403"),
        ("localhost.", "403"),
        ("2130706433", "403"),
        ("0x7f.1", "403"),
        ("[::1]", "403"),
        ("[::ffff:127.0.0.1]", "403"),
        ("[64:ff9b::7f00:1]", "403"),
        ("10.0.0.1", "403"),
        ("169.254.169.254", "403"),
        ("0.0.0.0", "403"),
        ("rebound.example", "403"),
        ("metadata.example", "403"),
        ("mapped.example", "403"),
    ],
)
async def test_allowlist_lets_named_hosts_through_and_nothing_else(
    walled: AsyncSandbox, outside: int, host: str, status: str
) -> None:
    proxy = "--noproxy '' --proxy http://127.0.0.1:3128"
    target = f"http://{host}:{outside}/"
    plain = await fetch(walled, target, proxy, "--request-target", f"'{target}'", "-H 'Host: x'")
    tunnel = await fetch(
        walled, target, proxy, "--proxytunnel", "-o /dev/null -w '%{http_connect}'"
    )
    assert plain[0] == status
    assert tunnel[1].endswith(status) or tunnel[0] == status


@pytest.fixture
async def walled(create: Create) -> AsyncSandbox:
    names = ["allowed.example", "*.sub.example", "bücher.example"]
    return await create([*names, "rebound.example", "metadata.example", "mapped.example"])


async def test_program_finds_the_way_out_by_its_environment(create: Create, outside: int) -> None:
    desktop = await create(["allowed.example"])
    status, body = await fetch(desktop, f"http://user:word@allowed.example:{outside}/a?b=1")
    assert status == "200"
    answer = json.loads(body)
    assert answer["at"] == "127.1.1.1"
    assert answer["path"] == "/a?b=1"
    assert answer["headers"]["Host"] == f"allowed.example:{outside}"
    assert not {name.lower() for name in answer["headers"]} & {"proxy-connection", "via"}
    program = (
        f"import urllib.request as r; print(r.urlopen('http://allowed.example:{outside}').status)"
    )
    assert (await desktop.commands.run(f'python3 -c "{program}"')).stdout == "200\n"


async def test_every_request_of_a_kept_connection_is_judged(create: Create, outside: int) -> None:
    desktop = await create(["allowed.example"])
    program = f"""
import http.client
c = http.client.HTTPConnection("127.0.0.1", 3128)
for host in ("allowed", "allowed", "denied"):
    c.request("GET", f"http://{{host}}.example:{outside}/", headers={{"Host": "allowed.example"}})
    r = c.getresponse(); r.read(); print(r.status)
"""
    await desktop.files.write("p.py", program)
    assert (await desktop.commands.run("python3 p.py")).stdout.split() == ["200", "200", "403"]


async def test_body_is_repeated_whole(create: Create, outside: int) -> None:
    desktop = await create(["allowed.example"])
    await desktop.commands.run("head -c 5000000 /dev/zero > big")
    status, body = await fetch(
        desktop,
        f"http://allowed.example:{outside}/",
        "--data-binary @big",
        "-H 'Expect: 100-continue'",
    )
    assert status == "200"
    assert json.loads(body)["headers"]["Content-Length"] == "5000000"


async def test_named_block_is_reached_by_literal_address(create: Create, outside: int) -> None:
    desktop = await create(["127.1.1.8/30", "127.0.0.1"])
    assert (await fetch(desktop, f"http://127.1.1.9:{outside}/", "--noproxy x"))[0] == "200"
    assert (await fetch(desktop, f"http://127.1.1.1:{outside}/", "--noproxy x"))[0] == "403"
    canary = await fetch(desktop, f"http://127.0.0.1:{outside}/", "--noproxy x")
    assert canary[0] == "403"  # a rule alone does not open the host


async def test_internet_without_rules_reaches_no_address_of_this_machine(
    create: Create, outside: int
) -> None:
    desktop = await create()
    for host in ("127.0.0.1", "127.1.1.1", "allowed.example", _own_address()):
        status, _ = await fetch(desktop, f"http://{host}:{outside}/", "--noproxy x")
        assert status == "403", host


def _own_address() -> str:
    """This machine's address on its network, if it is on one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


async def test_without_internet_nothing_is_reached_and_nothing_listens(
    create: Create, outside: int
) -> None:
    desktop = await create(allow_internet_access=False)
    assert (await fetch(desktop, f"http://allowed.example:{outside}/"))[0] == "000"
    program = (
        "import os, socket; print([name for name in os.environ if 'proxy' in name.lower()], "
        "socket.socket().connect_ex(('127.0.0.1', 3128)), len(list(open('/proc/net/route'))))"
    )
    output = (await desktop.commands.run(f'python3 -c "{program}"')).stdout
    assert output == "[] 111 1\n"


@pytest.mark.parametrize("internet", [True, False])
async def test_names_do_not_resolve_and_no_address_is_routed_inside(
    create: Create, internet: bool
) -> None:
    desktop = await create(allow_internet_access=internet)
    await desktop.files.write(
        "p.py",
        """
import socket
try: socket.getaddrinfo("allowed.example", 80)
except socket.gaierror as error: print("no name")
try: socket.create_connection(("192.0.2.1", 80), 3)
except OSError as error: print(error.errno)
""",
    )
    assert (await desktop.commands.run("python3 p.py")).stdout == "no name\n101\n"


async def test_two_desktops_do_not_reach_each_other(create: Create) -> None:
    one, other = await create(), await create(["127.0.0.0/8"])
    await one.commands.run("python3 -m http.server 8000", background=True)
    for url in ("http://127.0.0.1:8000/", "http://[::1]:8000/"):
        proxied = await fetch(other, url, "--noproxy x")
        assert proxied[0] in {"403", "502"}
        direct = await fetch(other, url, "--noproxy '*'")
        assert direct[0] == "000"


async def test_update_replaces_the_rules_of_a_running_desktop(create: Create, outside: int) -> None:
    desktop = await create(allow_internet_access=False)
    url = f"http://allowed.example:{outside}/"
    await desktop.update_network({"allow_out": ["allowed.example"], "deny_out": [ALL]})
    assert (await fetch(desktop, url))[0] == "200"
    info = await desktop.get_info()
    assert info.network == {"allow_out": ["allowed.example"], "deny_out": [ALL]}
    await desktop.update_network({"allow_internet_access": False})
    assert (await fetch(desktop, url, "--proxy http://127.0.0.1:3128"))[0] == "000"


async def test_update_ends_connections_made_under_the_old_rules(
    create: Create, outside: int
) -> None:
    desktop = await create(["allowed.example"])
    await desktop.files.write(
        "p.py",
        f"""
import socket
c = socket.create_connection(("127.0.0.1", 3128))
c.sendall(b"CONNECT allowed.example:{outside} HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
print(c.recv(100).split()[1].decode(), flush=True)
print(c.recv(100))
""",
    )
    opened = asyncio.Event()
    handle = await desktop.commands.run(
        "python3 -u p.py", background=True, on_stdout=lambda _text: opened.set()
    )
    async with asyncio.timeout(20):
        await opened.wait()
    await desktop.update_network({"allow_internet_access": False})
    assert (await handle.wait()).stdout == "200\nb''\n"


async def test_policy_outlives_both_kinds_of_pause(create: Create, outside: int) -> None:
    desktop = await create(["allowed.example"])
    for memory in (True, False):
        await desktop.pause(keep_memory=memory)
        await desktop.connect()
        assert (await fetch(desktop, f"http://allowed.example:{outside}/"))[0] == "200"
        assert (await fetch(desktop, f"http://denied.example:{outside}/"))[0] == "403"


async def test_policy_outlives_the_server(
    folder: Path, options_for: Callable[[Endpoint], dict[str, Any]]
) -> None:
    rules = {"allow_out": ["127.1.1.1"], "deny_out": [ALL]}
    options = options_for(ensure_server(folder))
    desktop = await AsyncSandbox.create("base", network=rules, **options)
    stop_server(folder)
    options = options_for(ensure_server(folder))
    again = await AsyncSandbox.connect(desktop.sandbox_id, **options)
    assert (await again.get_info()).network == rules
    assert (await fetch(again, "http://example.com/"))[0] == "403"


@pytest.mark.parametrize(
    ("network", "word"),
    [
        ({"deny_out": ["example.com"]}, "denyOut"),
        ({"allow_out": ["example.com"]}, "denyOut"),
        ({"allow_out": ["exa mple.com"], "deny_out": [ALL]}, "host name"),
        ({"allow_out": ["*"], "deny_out": [ALL]}, "host name"),
        ({"allow_out": ["1.1.1.1"] * 1001}, "1000"),
        ({"mask_request_host": "a\r\nb: c"}, "maskRequestHost"),
    ],
    ids=["deny-name", "name-without-deny", "space", "star", "many", "split"],
)
async def test_rules_that_cannot_hold_are_refused(create: Create, network: Any, word: str) -> None:
    with pytest.raises(SandboxException, match=f"400.*{word}"):
        await create(network=network)


async def test_flood_of_connections_is_bounded_and_passes(create: Create, outside: int) -> None:
    desktop = await create(["allowed.example"])
    await desktop.files.write(
        "p.py",
        f"""
import socket, time
held = []
for _ in range(240):
    held.append(socket.create_connection(("127.0.0.1", 3128), 5))
    time.sleep(0.002)
answered = 0
for c in held:
    try:
        c.sendall(b"CONNECT allowed.example:{outside} HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
        c.settimeout(5 if answered < 128 else 0.01)
        answered += c.recv(12) == b"HTTP/1.1 200"
    except OSError: pass
print(answered)
""",
    )
    assert (await desktop.commands.run("python3 p.py")).stdout == "128\n"
    assert (await fetch(desktop, f"http://allowed.example:{outside}/"))[0] == "200"


async def test_decisions_are_logged_in_bounds_and_without_paths(
    create: Create, outside: int, gated_folder: Path
) -> None:
    desktop = await create(["allowed.example"])
    await fetch(desktop, f"http://me:word@allowed.example:{outside}/path?secret=1")
    await fetch(desktop, f"http://denied.example:{outside}/[1-200]", "-o /dev/null")
    text = (gated_folder / "server.jsonl").read_text()
    lines = [line for line in text.splitlines() if desktop.sandbox_id in line]
    assert "allowed: 127.1.1.1" in next(line for line in lines if "allowed.example" in line)
    assert 100 < sum("denied.example" in line for line in lines) <= 240
    assert not any(secret in line for line in lines for secret in ("word", "secret"))


async def test_answer_that_belies_its_length_ends_short_and_is_no_failure_of_ours(
    create: Create, outside: int, gated_folder: Path
) -> None:
    desktop = await create(["allowed.example"])
    await fetch(desktop, f"http://allowed.example:{outside}/two-lengths")
    assert (await fetch(desktop, f"http://allowed.example:{outside}/"))[0] == "200"
    assert "LocalProtocolError" not in (gated_folder / "server.jsonl").read_text()
