"""Requests no SDK would send: wrong types, absurd numbers, endless streams, many descriptors."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from e2b import AsyncSandbox, CommandExitException
from e2b.exceptions import FileNotFoundException

from sentient_desktop import Endpoint, find_server
from sentient_desktop.envd.commands import OPEN_LIMIT

OK = {"cmd": "/bin/true"}


class Raw:
    """One desktop's envd, spoken to without an SDK."""

    def __init__(self, server: Endpoint, desktop: AsyncSandbox) -> None:
        token = desktop._envd_access_token
        assert token
        self.aim = {"E2b-Sandbox-Id": desktop.sandbox_id, "E2b-Sandbox-Port": "49983"}
        self.headers = self.aim | {"X-Access-Token": token}
        self.client = httpx.AsyncClient(base_url=server.url, timeout=30)

    async def unary(self, method: str, message: Any, **headers: str) -> httpx.Response:
        return await self.client.post(f"/{method}", json=message, headers=self.headers | headers)

    async def stream(self, method: str, message: Any, **headers: str) -> list[dict[str, Any]]:
        kind = {"Content-Type": "application/connect+json"}
        body = _envelope(message)
        headers = self.headers | kind | headers
        answer = await self.client.post(f"/{method}", content=body, headers=headers)
        assert answer.status_code == 200, answer.text
        return _messages(answer.content)


def _envelope(message: Any) -> bytes:
    payload = json.dumps(message).encode()
    return b"\0" + len(payload).to_bytes(4, "big") + payload


def _messages(data: bytes) -> list[dict[str, Any]]:
    found = []
    while data:
        size = int.from_bytes(data[1:5], "big")
        found.append(json.loads(data[5 : 5 + size]))
        data = data[5 + size :]
    return found


@pytest.fixture
async def raw(server: Endpoint, desktop: AsyncSandbox) -> AsyncIterator[Raw]:
    raw = Raw(server, desktop)
    async with raw.client:
        yield raw


@pytest.mark.parametrize(
    "message",
    [
        {"process": {"cmd": "/bin/true", "cwd": [1]}},
        {"process": {"cmd": "/bin/true", "cwd": 7}},
        {"process": OK, "pty": {"size": {"rows": "x"}}},
        {"process": OK, "pty": {"size": {"rows": -1}}},
        {"process": OK, "pty": {"size": [1]}},
        {"process": OK, "pty": 1},
        {"process": [1]},
        {"process": "text"},
        {"process": {"cmd": ["/bin/true"]}},
        {"process": {"cmd": "/bin/true\0"}},
        {"process": {"cmd": "/bin/true", "args": "text"}},
        {"process": {"cmd": "/bin/true", "args": ["\0"]}},
        {"process": {"cmd": "/bin/true", "args": [{}]}},
        {"process": {"cmd": "/bin/true", "envs": [1]}},
        {"process": {"cmd": "/bin/true", "envs": {"A": 1}}},
        {"process": {"cmd": "/bin/true", "envs": {"A=": "1"}}},
        {"process": {"cmd": "/bin/true", "args": ["\ud800"]}},
        {"process": OK, "stdin": "yes"},
        {"process": OK, "tag": [1]},
    ],
    ids=str,
)
async def test_start_with_wrong_types_is_refused_and_harms_nobody(
    desktop: AsyncSandbox, raw: Raw, message: dict[str, Any]
) -> None:
    bystander = await desktop.commands.run("sleep 100", background=True)
    (end,) = await raw.stream("process.Process/Start", message)
    assert end["error"]["code"] == "invalid_argument"
    assert [process.pid for process in await desktop.commands.list()] == [bystander.pid]


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("process.Process/SendSignal", {"process": "1", "signal": "SIGNAL_SIGKILL"}),
        ("process.Process/SendSignal", {"process": {"pid": [1]}, "signal": "SIGNAL_SIGKILL"}),
        ("process.Process/SendSignal", {"process": {"pid": 1}, "signal": ["x"]}),
        ("process.Process/SendInput", {"process": {"pid": {}}}),
        ("process.Process/CloseStdin", {"process": {"tag": 5}}),
        ("process.Process/Update", {"process": {"pid": True}, "pty": {"size": [1]}}),
        ("filesystem.Filesystem/Stat", {"path": [1]}),
        ("filesystem.Filesystem/Stat", {"path": "\0"}),
        ("filesystem.Filesystem/Move", {"source": {}, "destination": 1}),
        ("filesystem.Filesystem/ListDir", {"path": "/", "depth": "abc"}),
        ("filesystem.Filesystem/ListDir", {"path": "/", "depth": 1e999}),
        ("filesystem.Filesystem/ListDir", {"path": "/", "depth": 1.5}),
        ("filesystem.Filesystem/ListDir", {"path": "/", "depth": [1]}),
    ],
    ids=str,
)
async def test_call_with_wrong_types_is_refused(
    desktop: AsyncSandbox, raw: Raw, method: str, message: dict[str, Any]
) -> None:
    body = json.dumps(message).replace("Infinity", "1e999")
    answer = await raw.client.post(f"/{method}", content=body, headers=raw.headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_argument")
    assert (await desktop.commands.run("echo alive")).stdout == "alive\n"


async def test_update_with_a_wrong_size_is_refused_and_the_terminal_lives(
    desktop: AsyncSandbox, raw: Raw
) -> None:
    start = {"process": {"cmd": "/bin/cat"}, "pty": {"size": {"rows": 5, "cols": 5}}, "tag": "t"}
    kind = {"Content-Type": "application/connect+json"}
    request = raw.client.build_request(
        "POST", "/process.Process/Start", content=_envelope(start), headers=raw.headers | kind
    )
    answer = await raw.client.send(request, stream=True)
    await anext(answer.aiter_raw())
    update = {"process": {"tag": "t"}, "pty": {"size": {"rows": "x", "cols": 1}}}
    refused = await raw.unary("process.Process/Update", update)
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_argument")
    assert len(await desktop.commands.list()) == 1
    await answer.aclose()


def _server_status(data_dir: Path) -> tuple[int, int]:
    """Return resident bytes and open descriptors of the session's server."""
    found = find_server(data_dir)
    assert found
    resident = int(Path(f"/proc/{found[1]}/statm").read_text().split()[1]) * 4096
    return resident, len(list(Path(f"/proc/{found[1]}/fd").iterdir()))


async def test_start_with_a_second_message_is_refused_before_the_rest_arrives(
    raw: Raw, data_dir: Path
) -> None:
    chunk = _envelope({}) * 10_000

    async def flood() -> Any:
        for _ in range(180):
            yield chunk

    before, _ = _server_status(data_dir)
    kind = {"Content-Type": "application/connect+json"}
    try:
        answer = await raw.client.post(
            "/process.Process/Start", content=flood(), headers=raw.headers | kind
        )
        assert _messages(answer.content)[0]["error"]["code"] == "invalid_argument"
    except httpx.TransportError:
        pass  # refused by closing the connection, which a client may meet first
    assert _server_status(data_dir)[0] - before < 30_000_000


@pytest.mark.long
async def test_daemons_of_many_commands_hold_no_descriptors_of_the_server(
    desktop: AsyncSandbox, data_dir: Path
) -> None:
    _, before = _server_status(data_dir)
    for _ in range(5):
        starts = (desktop.commands.run("sleep 300 & disown") for _ in range(40))
        await asyncio.gather(*starts)
    assert (await desktop.commands.run("pgrep -c sleep")).stdout == "200\n"
    await asyncio.sleep(0.3)
    # Some are the connections the SDK keeps.
    assert _server_status(data_dir)[1] - before < 100


async def _count_beyond(desktop: AsyncSandbox, number: int) -> int:
    """Wait until the daemon has counted further; its test's time limit is the bound."""
    while True:
        with suppress(FileNotFoundException):
            if (count := int(await desktop.files.read("n"))) > number:
                return count
        await asyncio.sleep(0.05)


async def test_daemon_writing_after_its_command_ended_lives_on(desktop: AsyncSandbox) -> None:
    script = (
        "i=0; while :; do i=$((i+1)); head -c 9000 /dev/zero; echo $i > m; mv m n; sleep 0.02; done"
    )
    await desktop.files.write("daemon.sh", script)
    await desktop.commands.run("sh daemon.sh & sleep 0.1")
    first = await _count_beyond(desktop, 20)
    await desktop.pause()
    await desktop.connect()
    await _count_beyond(desktop, first + 20)


async def test_commands_beyond_the_limit_are_refused_until_one_ends(
    desktop: AsyncSandbox, raw: Raw
) -> None:
    kind = {"Content-Type": "application/connect+json", "Connect-Timeout-Ms": "60000"}
    message = _envelope({"process": {"cmd": "/bin/sleep", "args": ["300"]}, "stdin": False})
    limits = httpx.Limits(max_connections=None)

    async with httpx.AsyncClient(base_url=str(raw.client.base_url), limits=limits) as client:

        async def start() -> dict[str, Any]:
            request = client.build_request(
                "POST", "/process.Process/Start", content=message, headers=raw.headers | kind
            )
            answer = await client.send(request, stream=True)
            first = _messages(await anext(answer.aiter_raw()))[0]
            await answer.aclose()
            return first

        answers = []
        for _ in range(0, OPEN_LIMIT + 20, 69):
            answers += await asyncio.gather(*(start() for _ in range(69)))
    refused = [answer["error"] for answer in answers if "error" in answer]
    assert len(answers) - len(refused) == OPEN_LIMIT
    assert {error["code"] for error in refused} == {"resource_exhausted"}
    listed = await desktop.commands.list()
    assert await desktop.commands.kill(listed[0].pid)
    assert (await desktop.commands.run("echo room")).stdout == "room\n"


async def test_keepalive_of_zero_does_not_spin(raw: Raw) -> None:
    message = {"process": {"cmd": "/bin/sleep", "args": ["0.5"]}}
    messages = await raw.stream(
        "process.Process/Start", message, **{"Keepalive-Ping-Interval": "0"}
    )
    assert sum("keepalive" in item.get("event", {}) for item in messages) <= 1


@pytest.mark.parametrize("number", ["²", "9" * 5000, "-1", "1.5", "\u0661"], ids=lambda n: n[:6])
@pytest.mark.parametrize("header", ["Connect-Timeout-Ms", "Keepalive-Ping-Interval"])
async def test_header_that_is_no_number_is_refused(raw: Raw, header: str, number: str) -> None:
    headers: Any = raw.headers | {header: number.encode()}
    answer = await raw.client.post("/process.Process/List", json={}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_argument")


@pytest.mark.parametrize("number", ["²", "9" * 5000, "-1", ""], ids=lambda n: n[:6])
async def test_port_that_is_no_number_is_refused_to_anybody(raw: Raw, number: str) -> None:
    headers: Any = raw.aim | {"E2b-Sandbox-Port": number.encode()}
    assert (await raw.client.get("/health", headers=headers)).status_code == 400
    by_host = {"Host": f"{'9' * 5000}-{raw.aim['E2b-Sandbox-Id']}.localhost"}
    assert (await raw.client.get("/sandboxes", headers=by_host)).status_code == 401


@pytest.mark.parametrize("number", ["²", "9" * 5000, "abc", "-1"], ids=lambda n: n[:6])
@pytest.mark.parametrize("field", ["limit", "nextToken"])
@pytest.mark.parametrize("path", ["/v2/sandboxes", "/snapshots"])
async def test_page_that_is_no_number_is_refused(
    server: Endpoint, raw: Raw, path: str, field: str, number: str
) -> None:
    key = {"X-API-KEY": server.api_key}
    answer = await raw.client.get(path, params={field: number}, headers=key)
    assert answer.status_code == 400
    assert "must be numbers" in answer.json()["message"]


@pytest.mark.parametrize(
    "choices",
    [
        '{"envVars": {"B=": "1"}}',
        '{"envVars": {"": "1"}}',
        '{"envVars": {"B": "\\u0000"}}',
        '{"metadata": {"a": "\\ud800"}}',
        f'{{"timeout": {"9" * 5000}}}',
        '{"timeout": 1e999}',
        '{"timeout": "60"}',
    ],
    ids=lambda text: text[:30],
)
async def test_create_with_impossible_values_is_refused(
    server: Endpoint, raw: Raw, choices: str
) -> None:
    body = '{"templateID": "base", ' + choices[1:]
    key = {"X-API-KEY": server.api_key}
    answer = await raw.client.post("/v2/sandboxes", content=body, headers=key)
    assert (answer.status_code, answer.json()["code"]) == (400, 400)


async def test_auto_resume_without_the_token_does_not_wake(create: Any, server: Endpoint) -> None:
    desktop = await create(lifecycle={"on_timeout": "pause", "auto_resume": True})
    await desktop.pause()
    raw = Raw(server, desktop)
    await _try_without_token(raw)
    assert (await desktop.get_info()).state.value == "paused"
    assert (await raw.client.get("/health", headers=raw.headers)).status_code == 204
    assert (await desktop.get_info()).state.value == "running"
    await raw.client.aclose()


async def _try_without_token(raw: Raw) -> None:
    for path in ("/health", "/process.Process/List", "/files?path=x", "/nothing"):
        for wrong in ({}, {"X-Access-Token": "0" * 40}):
            answer = await raw.client.post(path, json={}, headers=raw.aim | wrong)
            assert answer.status_code == 401, path


async def test_deadline_that_fell_during_a_pause_fires_on_resume(desktop: AsyncSandbox) -> None:
    handle = await desktop.commands.run("sleep 333", background=True, timeout=0.6)
    await handle.disconnect()
    await desktop.pause()
    await asyncio.sleep(1)
    await desktop.connect()
    for _ in range(100):
        if not await desktop.commands.list():
            break
        await asyncio.sleep(0.02)
    with pytest.raises(CommandExitException):
        await desktop.commands.run("pgrep sleep")


async def test_create_with_the_same_idempotency_key_makes_one_desktop(
    server: Endpoint, options: dict[str, Any]
) -> None:
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as client:

        async def ask(key: str, **body: Any) -> httpx.Response:
            headers = {"X-API-KEY": server.api_key, "Idempotency-Key": key}
            message = {"templateID": "base"} | body
            return await client.post("/v2/sandboxes", json=message, headers=headers)

        first, again = await asyncio.gather(ask("k1"), ask("k1"))
        later, other = await ask("k1"), await ask("k2")
        changed = await ask("k1", timeout=7)
        failing = [await ask("k3", templateID="nobody") for _ in range(2)]
        mended = await ask("k3")
        too_long = await ask("k" * 300)
    made = [answer.json()["sandboxID"] for answer in (first, again, later)]
    assert [answer.status_code for answer in (first, again, later, other)] == [201] * 4
    assert len(set(made)) == 1
    assert other.json()["sandboxID"] != made[0]
    assert (changed.status_code, changed.json()["code"]) == (409, 409)
    assert [answer.status_code for answer in failing] == [404, 404]
    assert (mended.status_code, too_long.status_code) == (201, 400)
    for answer in (first, other, mended):
        await AsyncSandbox.kill(answer.json()["sandboxID"], **options)
