"""No path leads out of a desktop, and no token of one desktop opens anything of another."""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import e2b
import httpx
import pytest
from e2b import AsyncSandbox, Sandbox
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sentient_desktop import Endpoint

SECRET = "kept on the host"
STEPS = [
    "..", ".", "", "/", "~", "proc/self/root", "proc/1/root", "proc/self/cwd", "proc/self/fd/0",
    "dev/fd/3", "up", "root", "loop", "a\0b", "\0", "n" * 255, "n" * 256, "\ud800", "oldroot",
    "proc/thread-self/root", "/" * 2100,
]  # fmt: skip
"""Steps of paths; up, root and loop are links the guest made."""

CALLS = [
    ("process.Process/List", {}),
    ("process.Process/Start", {"process": {"cmd": "/bin/true"}}),
    ("process.Process/Connect", {"process": {"pid": 2}}),
    ("process.Process/StreamInput", {"start": {"process": {"pid": 2}}}),
    ("process.Process/SendInput", {"process": {"pid": 2}, "input": {"stdin": ""}}),
    ("process.Process/SendSignal", {"process": {"pid": 2}, "signal": "SIGNAL_SIGKILL"}),
    ("process.Process/CloseStdin", {"process": {"pid": 2}}),
    ("process.Process/Update", {"process": {"pid": 2}, "pty": {"size": {"rows": 9, "cols": 9}}}),
    ("filesystem.Filesystem/Stat", {"path": "/"}),
    ("filesystem.Filesystem/MakeDir", {"path": "d"}),
    ("filesystem.Filesystem/Move", {"source": "a", "destination": "b"}),
    ("filesystem.Filesystem/ListDir", {"path": "/"}),
    ("filesystem.Filesystem/Remove", {"path": "a"}),
    ("filesystem.Filesystem/WatchDir", {"path": "/"}),
    ("filesystem.Filesystem/CreateWatcher", {"path": "/"}),
    ("filesystem.Filesystem/GetWatcherEvents", {"watcherId": "w0"}),
    ("filesystem.Filesystem/RemoveWatcher", {"watcherId": "w0"}),
    ("files/compose", {"source_paths": ["a"], "destination": "b"}),
]
STREAMS = ("Start", "Connect", "StreamInput", "WatchDir")


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file that every user of the host may read and write, in a folder all may enter."""
    folder = tmp_path / "outside"
    folder.mkdir(mode=0o777)
    for parent in (folder, *folder.parents):
        if parent.is_relative_to(tmp_path.parent.parent):
            with suppress(PermissionError):
                parent.chmod(0o755 if parent != folder else 0o777)
    path = folder / "secret"
    path.write_text(SECRET)
    path.chmod(0o666)
    return path


@pytest.mark.parametrize("count", [25, pytest.param(5000, marks=pytest.mark.long)])
def test_paths_of_any_form_stay_inside(
    server: Endpoint,
    options_for: Callable[[Endpoint], dict[str, Any]],
    secret: Path,
    count: int,
) -> None:
    desktop = Sandbox.create("base", **options_for(server))
    desktop.commands.run("ln -s ../../../../.. /workspace/up; ln -s / root; ln -s loop loop")
    headers = {
        "e2b-sandbox-id": desktop.sandbox_id,
        "e2b-sandbox-port": "49983",
        "x-access-token": str(desktop._envd_access_token),
    }

    def check(steps: list[str]) -> None:
        path = "/".join([*steps, str(secret)])
        for call in ("Stat", "ListDir", "Remove", "MakeDir"):
            target = f"/filesystem.Filesystem/{call}"
            body = json.dumps({"path": path}).encode()
            answer = client.post(target, content=body)
            assert answer.json().get("code") not in ("internal", "unknown"), answer.text
        wire = path.encode("utf-8", "surrogatepass")
        asked = client.get("/files", params={"path": wire})
        kind = {"content-type": "application/octet-stream"}
        sent = client.post("/files", params={"path": wire}, content=b"written", headers=kind)
        assert SECRET not in asked.text
        assert asked.status_code < 500
        assert sent.status_code < 500 or sent.status_code == 507
        assert secret.read_text() == SECRET
        assert [path.name for path in secret.parent.iterdir()] == ["secret"]

    try:
        with httpx.Client(base_url=server.url, headers=headers, timeout=20) as client:
            search = given(st.lists(st.sampled_from(STEPS), max_size=6))(check)
            settings(
                max_examples=count,
                deadline=None,
                database=None,
                derandomize=count < 1000,
                suppress_health_check=list(HealthCheck),
            )(search)()
            kept = client.post("/filesystem.Filesystem/Stat", json={"path": "/etc/passwd"})
            assert kept.status_code == 200  # the harmless twin
    finally:
        desktop.kill()


async def test_links_swapped_during_calls_lead_nowhere_else(
    desktop: AsyncSandbox, secret: Path
) -> None:
    script = (
        f"mkdir d && echo inside > d/secret && ln -s {secret.parent} l && "
        "while :; do mv -T --exchange d l 2>/dev/null || { mv -T d t; mv -T l d; mv -T t l; }; done"
    )
    swapping = await desktop.commands.run(script, background=True)
    seen = set()
    for _ in range(100):
        with suppress(e2b.SandboxException):
            seen.add(await desktop.files.read("d/secret"))
        with suppress(e2b.SandboxException):
            await desktop.files.write("d/secret", "inside\n")
        with suppress(e2b.SandboxException):
            await desktop.files.remove("d/other")
    await swapping.kill()
    assert seen <= {"inside\n", ""}
    assert secret.read_text() == SECRET


async def _call(
    client: httpx.AsyncClient, method: str, message: dict[str, Any], **headers: str
) -> httpx.Response:
    body, kind = json.dumps(message).encode(), "application/json"
    if method.rpartition("/")[2] in STREAMS:
        body, kind = b"\0" + len(body).to_bytes(4, "big") + body, "application/connect+json"
    headers |= {"content-type": kind, "connect-timeout-ms": "500"}
    return await client.post(f"/{method}", content=body, headers=headers)


async def test_token_of_one_desktop_opens_nothing_of_another(create: Any, server: Endpoint) -> None:
    mine, other = await create(), await create()
    await other.files.write("a", "theirs")
    aim = {"e2b-sandbox-id": other.sandbox_id, "e2b-sandbox-port": "49983"}
    tokens = [str(mine._envd_access_token), "", str(other._envd_access_token)[:-1], "\xff"]
    async with httpx.AsyncClient(base_url=server.url, headers=aim) as client:
        for token in tokens:
            shown = {"x-access-token": token.encode("latin-1")}
            for method, message in CALLS:
                answer = await _call(client, method, message, **shown)  # type: ignore[arg-type]
                assert answer.status_code == 401, (method, answer.text)
            for verb, path in (("GET", "/files"), ("POST", "/files"), ("GET", "/envs")):
                answer = await client.request(verb, path, params={"path": "a"}, headers=shown)
                assert answer.status_code == 401, (path, answer.text)
        theirs = {"x-access-token": str(other._envd_access_token)}
        answers = [await _call(client, method, message, **theirs) for method, message in CALLS]
    assert all(answer.status_code != 401 for answer in answers)  # the harmless twin


async def test_signature_of_one_desktop_opens_nothing_of_another(
    create: Any, server: Endpoint
) -> None:
    mine, other = await create(), await create()
    await asyncio.gather(mine.files.write("a", "mine"), other.files.write("a", "theirs"))
    async with httpx.AsyncClient() as client:
        url = mine.download_url("a")
        aim = {"e2b-sandbox-id": other.sandbox_id, "e2b-sandbox-port": "49983"}
        assert (await client.get(url, headers=aim)).status_code == 401
        assert (await client.get(url)).text == "mine"
        assert (await client.post(url, content=b"x")).status_code == 401
