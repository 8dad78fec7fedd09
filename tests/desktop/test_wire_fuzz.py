"""Any bytes on the wire give a typed error: never a crash, a hang or a traceback.

Every search is deterministic in its short form and runs with many more inputs under `make fuzz`.
What is sent goes to a desktop of its own, whose files and processes may suffer; the server may not.
"""

import gzip
import http.client
import itertools
import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from e2b import Sandbox
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sentient_desktop import Endpoint

UNARY = [
    "process.Process/List", "process.Process/SendInput", "process.Process/SendSignal",
    "process.Process/CloseStdin", "process.Process/Update", "filesystem.Filesystem/Stat",
    "filesystem.Filesystem/MakeDir", "filesystem.Filesystem/Move",
    "filesystem.Filesystem/ListDir", "filesystem.Filesystem/Remove",
    "filesystem.Filesystem/CreateWatcher", "filesystem.Filesystem/GetWatcherEvents",
    "filesystem.Filesystem/RemoveWatcher",
]  # fmt: skip
STREAMS = [
    "process.Process/Start", "process.Process/Connect", "process.Process/StreamInput",
    "filesystem.Filesystem/WatchDir",
]  # fmt: skip
CODES = {
    "canceled", "invalid_argument", "deadline_exceeded", "not_found", "already_exists",
    "permission_denied", "resource_exhausted", "failed_precondition", "unimplemented",
    "unavailable", "unauthenticated",
}  # fmt: skip
"""``internal`` and ``unknown`` are missing: they would be bugs."""

FIELDS = [
    "path", "source", "destination", "depth", "process", "pid", "tag", "pty", "size", "rows",
    "cols", "stdin", "cmd", "args", "envs", "cwd", "signal", "input", "start", "data", "recursive",
    "includeEntry", "watcherId", "selector", "config",
]  # fmt: skip
ODD_TEXTS = ["", ".", "..", "~", "/", "\0", "\ud800", "a" * 300, "SIGNAL_SIGKILL", "1e999", "-1"]

texts = st.one_of(st.sampled_from(ODD_TEXTS), st.text(max_size=12))
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), texts,
    st.sampled_from([2**31, 2**32, 2**63, -1, 1e308]),
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(FIELDS), inner, max_size=5)
    ),
    max_leaves=12,
)
messages = st.dictionaries(st.sampled_from(FIELDS), values, max_size=6)
bodies = st.one_of(
    messages.map(lambda message: json.dumps(message).encode()),
    values.map(lambda value: json.dumps(value).encode()),
    st.binary(max_size=60),
    st.sampled_from([b"[" * 20000, b'{"a":' * 20000, b"1" * 6000, b'{"path":"\xff"}', b"\0" * 50]),
)
frames = st.builds(
    lambda flags, lie, body: bytes([flags]) + max(0, len(body) + lie).to_bytes(4, "big") + body,
    st.sampled_from([0, 0, 0, 1, 2, 3, 128, 255]),
    st.sampled_from([0, 0, 0, 0, 1, -1, 5, 1 << 20, (1 << 24) + 1, (1 << 31) - 100]),
    bodies,
)


class Wire:
    """One desktop's envd as a socket."""

    def __init__(self, server: Endpoint, desktop: Sandbox) -> None:
        host, _, port = server.url.removeprefix("http://").rpartition(":")
        self._address = (host, int(port))
        self.head = (
            f"Host: {host}\r\nConnection: close\r\nE2b-Sandbox-Id: {desktop.sandbox_id}\r\n"
            f"E2b-Sandbox-Port: 49983\r\nX-Access-Token: {desktop._envd_access_token}\r\n"
            "Connect-Timeout-Ms: 1000\r\n"
        )

    def connect(self) -> socket.socket:
        return socket.create_connection(self._address, timeout=20)

    def request(self, target: str, body: bytes, kind: str, length: int | None = None) -> bytes:
        """Return the bytes of a POST; ``length`` is what it claims when that is not the truth."""
        claimed = len(body) if length is None else length
        head = f"POST {target} HTTP/1.1\r\n{self.head}Content-Type: {kind}\r\n"
        return f"{head}Content-Length: {claimed}\r\n\r\n".encode("latin-1") + body

    def send(self, *pieces: bytes) -> tuple[int, bytes]:
        """Send pieces, one write each; return the status and the body of the answer."""
        with self.connect() as link:
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with suppress(BrokenPipeError, ConnectionResetError):  # answered before the end
                for piece in pieces:
                    link.sendall(piece)
            answer = http.client.HTTPResponse(link, method="POST")
            answer.begin()
            return answer.status, answer.read()


@pytest.fixture(scope="module")
def wire(server: Endpoint, options_for: Callable[[Endpoint], dict[str, Any]]) -> Iterator[Wire]:
    desktop = Sandbox.create("base", **options_for(server))
    yield Wire(server, desktop)
    desktop.kill()


@pytest.fixture(autouse=True)
def _unharmed(wire: Wire, data_dir: Path) -> Iterator[None]:
    """After each search the server answers, and its log has no traceback."""
    yield
    target = "/process.Process/Start"
    body = json.dumps({"process": {"cmd": "/bin/true", "cwd": "/"}}).encode()
    frame = b"\0" + len(body).to_bytes(4, "big") + body
    status, answer = wire.send(wire.request(target, frame, "application/connect+json"))
    assert (status, b'"exitCode":0' in answer) == (200, True)
    log = (data_dir / "server.log").read_text(errors="replace")
    assert "Traceback" not in log, log[-3000:]


def search(strategy: Any, check: Callable[[Any], None], inputs: int) -> None:
    """Check many inputs of a strategy."""
    found = given(strategy)(check)
    profile = settings(
        max_examples=inputs,
        deadline=None,
        database=None,
        derandomize=inputs < 1000,
        suppress_health_check=list(HealthCheck),
    )
    profile(found)()


def inputs(short: int, long: int) -> Any:
    """Run a test with few inputs always, with many when asked."""
    return pytest.mark.parametrize("count", [short, pytest.param(long, marks=pytest.mark.long)])


def check_unary(status: int, body: bytes) -> None:
    message = json.loads(body)
    assert isinstance(message, dict)
    if status != 200:
        assert message["code"] in CODES, message
        assert isinstance(message["message"], str)


def check_stream(status: int, body: bytes) -> None:
    assert status == 200, body
    last: dict[str, Any] = {}
    flags = 0
    while body:
        flags, size = body[0], int.from_bytes(body[1:5], "big")
        last, body = json.loads(body[5 : 5 + size]), body[5 + size :]
    assert flags == 2
    if "error" in last:
        assert last["error"]["code"] in CODES, last


def check_http(status: int, body: bytes) -> None:
    assert status < 500 or status == 507, (status, body)
    if status != 200 and body[:1] == b"{":
        assert json.loads(body)["code"] == status


@inputs(120, 8000)
def test_unary_calls_with_any_message_answer_in_type(wire: Wire, count: int) -> None:
    def check(given: tuple[str, bytes]) -> None:
        method, body = given
        check_unary(*wire.send(wire.request(f"/{method}", body, "application/json")))

    search(st.tuples(st.sampled_from(UNARY), bodies), check, count)


@inputs(60, 4000)
def test_streams_with_any_frames_end_in_type(wire: Wire, count: int) -> None:
    def check(given: tuple[str, list[bytes]]) -> None:
        method, sent = given
        request = wire.request(f"/{method}", b"".join(sent), "application/connect+json")
        check_stream(*wire.send(request))

    search(st.tuples(st.sampled_from(STREAMS), st.lists(frames, max_size=4)), check, count)


@inputs(25, 2000)
def test_frames_split_anywhere_mean_the_same(wire: Wire, count: int) -> None:
    message = json.dumps({"process": {"cmd": "/bin/echo", "args": ["whole"], "cwd": "/"}}).encode()
    frame = b"\0" + len(message).to_bytes(4, "big") + message
    request = wire.request("/process.Process/Start", frame, "application/connect+json")
    start = len(request) - len(frame)

    def check(cuts: list[int]) -> None:
        edges = [0, *sorted(cuts), len(request)]
        pieces = [request[a:b] for a, b in itertools.pairwise(edges)]
        status, body = wire.send(*pieces)
        check_stream(status, body)
        assert b"d2hvbGUK" in body

    search(st.lists(st.integers(start, len(request)), max_size=5), check, count)


PARTS = [
    b"--b\r\n", b"--b--\r\n", b"\r\n", b"--", b'Content-Disposition: form-data; name="file"',
    b'; filename="f"', b'; filename="../../x\0y"', b"Content-Type: text/plain\r\n", b"x" * 5000,
    b"\r\n\r\n", b"Content-Disposition: ", b"\xff\xfe", b":", b'name="',
    gzip.compress(b"--b\r\n", mtime=0),
]  # fmt: skip


@inputs(60, 3000)
def test_uploads_of_any_form_answer_in_type(wire: Wire, count: int) -> None:
    kinds = [
        "multipart/form-data; boundary=b", "multipart/form-data", "application/octet-stream",
        "multipart/form-data; boundary=" + "b" * 300, "multipart/form-data; boundary=\xe9", "",
        "application/octet-stream\r\nContent-Encoding: gzip",
        "multipart/form-data; boundary=b\r\nContent-Encoding: gzip",
    ]  # fmt: skip
    body = st.lists(st.one_of(st.sampled_from(PARTS), st.binary(max_size=20)), max_size=8)
    path = st.sampled_from(["", "?path=fuzz/f", "?path=", "?path=%00", "?path=" + "a" * 300])

    def check(given: tuple[str, str, list[bytes]]) -> None:
        query, kind, pieces = given
        content = b"".join(pieces)
        if "gzip" in kind and len(pieces) % 2:
            content = gzip.compress(content, mtime=0)[: len(pieces) * 40]
        check_http(*wire.send(wire.request(f"/files{query}", content, kind)))

    search(st.tuples(path, st.sampled_from(kinds), body), check, count)


@inputs(60, 3000)
def test_requests_that_are_no_http_are_refused_or_dropped(wire: Wire, count: int) -> None:
    pieces = st.sampled_from([
        b"GET / HTTP/1.1\r\n", b"POST /files HTTP/1.1\r\n", b"\r\n", b"Host: x\r\n", b"\0",
        b"Transfer-Encoding: chunked\r\n", b"Content-Length: -1\r\n", b"Content-Length: 5\r\n",
        b"ffffffffffffffff\r\n", b"5\r\nhello\r\n", b"0\r\n\r\n", b"E2b-Sandbox-Port: 1\r\n",
        b"Upgrade: websocket\r\nConnection: Upgrade\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        wire.head.encode(), b"X: " + b"y" * 9000 + b"\r\n", b"GET http://[::1 HTTP/1.1\r\n",
    ])  # fmt: skip

    def check(sent: list[bytes]) -> None:
        with wire.connect() as link, suppress(BrokenPipeError, ConnectionResetError):
            link.sendall(b"".join(sent))
            link.shutdown(socket.SHUT_WR)
            while answer := link.recv(1 << 16):
                assert b" 500 " not in answer.split(b"\r\n", 1)[0], answer

    search(st.lists(st.one_of(pieces, st.binary(max_size=9)), max_size=7), check, count)


@pytest.mark.parametrize("step", [9, pytest.param(1, marks=pytest.mark.long)])
def test_client_that_leaves_at_any_byte_harms_nobody(wire: Wire, step: int) -> None:
    message = json.dumps({"process": {"cmd": "/bin/true", "cwd": "/"}}).encode()
    frame = b"\0" + len(message).to_bytes(4, "big") + message
    form = b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\nx\r\n--b--\r\n'
    for request in (
        wire.request("/process.Process/Start", frame, "application/connect+json"),
        wire.request("/filesystem.Filesystem/Stat", b'{"path":"/"}', "application/json"),
        wire.request("/files", form, "multipart/form-data; boundary=b"),
    ):
        for end in range(0, len(request), step):
            with wire.connect() as link:
                link.sendall(request[:end])


@pytest.mark.parametrize("claimed", [1, 1 << 20, 1 << 62], ids=["one", "more", "absurd"])
def test_body_shorter_than_it_claims_waits_alone(wire: Wire, claimed: int) -> None:
    body = b'{"path":"/"}'
    target = "/filesystem.Filesystem/Stat"
    request = wire.request(target, body, "application/json", len(body) + claimed)
    with wire.connect() as waiting:
        waiting.sendall(request)
        honest = wire.request(target, body, "application/json")
        assert wire.send(honest)[0] == 200


def test_clients_that_dawdle_do_not_slow_the_others(wire: Wire) -> None:
    body = b'{"path":"/"}'
    request = wire.request("/filesystem.Filesystem/Stat", body, "application/json")
    slow = [wire.connect() for _ in range(150)]
    try:
        for number, link in enumerate(slow):
            link.sendall(request[: 1 + number])
        began = time.monotonic()
        for _ in range(20):
            assert wire.send(request)[0] == 200
        assert time.monotonic() - began < 20
    finally:
        for link in slow:
            link.close()
