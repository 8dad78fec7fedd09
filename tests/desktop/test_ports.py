"""A desktop's ports as programs outside see them: by header and by host name, streamed."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
import websockets
from e2b import AsyncSandbox
from inside_servers import HTTP, WEBSOCKET

from sentient_desktop import Endpoint

Create = Callable[..., Awaitable[AsyncSandbox]]


async def serve(desktop: AsyncSandbox, program: str, *argv: str) -> Any:
    """Start a server inside and wait until it says that it listens."""
    ready = asyncio.Event()
    await desktop.files.write("/home/user/server.py", program)
    handle = await desktop.commands.run(
        f"python3 -u server.py {' '.join(argv)}",
        background=True,
        stdin=True,
        on_stdout=lambda text: ready.set() if "ready" in text else None,
    )
    async with asyncio.timeout(20):
        await ready.wait()
    return handle


def address(desktop: AsyncSandbox, port: int = 3000) -> dict[str, str]:
    return {"E2b-Sandbox-Id": desktop.sandbox_id, "E2b-Sandbox-Port": str(port)}


@pytest.fixture
def web(server: Endpoint) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=server.url, timeout=20, trust_env=False)


async def test_port_by_header_and_by_host_name_answers(
    desktop: AsyncSandbox, web: httpx.AsyncClient
) -> None:
    await serve(desktop, HTTP, "3000", "127.0.0.1")
    async with web:
        by_header = await web.get("/a%20b?q=1", headers=address(desktop))
        by_host = await web.get("/", headers={"Host": desktop.get_host(3000)})
    assert by_header.json()["path"] == "/a%20b?q=1"
    assert by_host.json()["headers"]["Host"] == desktop.get_host(3000)
    assert by_host.json()["client"] == "127.0.0.1"


async def test_host_name_of_a_port_names_this_server(
    desktop: AsyncSandbox, server: Endpoint
) -> None:
    port = server.url.rpartition(":")[2]
    assert desktop.get_host(3000) == f"3000-{desktop.sandbox_id}.localhost:{port}"


async def test_port_on_ipv6_loopback_answers(desktop: AsyncSandbox, web: httpx.AsyncClient) -> None:
    await serve(desktop, HTTP, "3000", "::1")
    async with web:
        assert (await web.get("/", headers=address(desktop))).status_code == 200


async def test_closed_port_answers_502_in_the_protocols_words(
    desktop: AsyncSandbox, web: httpx.AsyncClient
) -> None:
    async with web:
        answer = await web.get("/", headers=address(desktop, 3999))
    assert answer.status_code == 502
    assert answer.json() == {
        "sandboxId": desktop.sandbox_id,
        "message": "The sandbox is running but port is not open",
        "port": 3999,
        "code": 502,
    }


async def test_port_that_does_not_speak_http_answers_502(
    desktop: AsyncSandbox, web: httpx.AsyncClient
) -> None:
    program = (
        "import socket; s = socket.create_server(('127.0.0.1', 3000)); print('ready', flush=True)\n"
        "while True: c, _ = s.accept(); c.sendall(b'\\x00\\x01 not http\\r\\n\\r\\n'); c.close()"
    )
    await serve(desktop, program)
    async with web:
        answer = await web.get("/", headers=address(desktop))
    assert answer.status_code == 502
    assert "did not answer in HTTP" in answer.json()["message"]


async def test_request_bodies_with_and_without_a_length_arrive_whole(
    desktop: AsyncSandbox, web: httpx.AsyncClient
) -> None:
    async def pieces() -> Any:
        for _ in range(64):
            yield b"y" * (1 << 16)

    await serve(desktop, HTTP, "3000", "127.0.0.1")
    async with web:
        known = await web.post("/", headers=address(desktop), content=b"z" * 3_000_000)
        chunked = await web.post("/", headers=address(desktop), content=pieces())
    assert known.json()["size"] == 3_000_000
    assert chunked.json()["size"] == 64 << 16


async def test_large_answer_arrives_whole_and_server_lives_on_when_the_client_leaves(
    desktop: AsyncSandbox, web: httpx.AsyncClient
) -> None:
    await serve(desktop, HTTP, "3000", "127.0.0.1")
    async with web:
        assert len((await web.get("/huge", headers=address(desktop))).content) == 32 << 20
        async with web.stream("GET", "/huge", headers=address(desktop)) as answer:
            await anext(answer.aiter_bytes())
        assert (await web.get("/", headers=address(desktop))).status_code == 200


async def test_server_sent_events_arrive_one_by_one(
    desktop: AsyncSandbox, web: httpx.AsyncClient
) -> None:
    handle = await serve(desktop, HTTP, "3000", "127.0.0.1")
    async with web, web.stream("GET", "/events", headers=address(desktop)) as answer:
        lines = answer.aiter_lines()
        for number in range(3):  # the next is written only after the last was seen
            await desktop.commands.send_stdin(handle.pid, f"event {number}\n")
            assert await anext(lines) == f"data: event {number}"
            assert await anext(lines) == ""
        await desktop.commands.send_stdin(handle.pid, "stop\n")
        assert [line async for line in lines] == []


async def test_websocket_echoes_by_header_and_is_refused_on_a_closed_port(
    desktop: AsyncSandbox, server: Endpoint
) -> None:
    await serve(desktop, WEBSOCKET, "3000")
    url = server.url.replace("http", "ws") + "/chat"
    async with websockets.connect(url, additional_headers=address(desktop), proxy=None) as socket:
        for text in ("hello", "again"):
            await socket.send(text)
            assert await socket.recv() == text
    with pytest.raises(websockets.InvalidStatus) as refused:
        await websockets.connect(url, additional_headers=address(desktop, 3999), proxy=None)
    assert refused.value.response.status_code == 502
    assert b"port is not open" in refused.value.response.body


async def test_websocket_to_the_control_plane_is_refused(server: Endpoint) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused:
        await websockets.connect(server.url.replace("http", "ws"), proxy=None)
    assert refused.value.response.status_code == 400


async def test_private_ports_demand_the_traffic_token_and_hide_it_from_the_guest(
    create: Create, web: httpx.AsyncClient, server: Endpoint
) -> None:
    desktop = await create(network={"allow_public_traffic": False})
    token = desktop.traffic_access_token
    assert token
    await serve(desktop, HTTP, "3000", "127.0.0.1")
    async with web:
        for given in ({}, {"e2b-traffic-access-token": "wrong"}):
            answer = await web.get("/", headers=address(desktop) | given)
            assert answer.status_code == 403
        shown = {"e2b-traffic-access-token": token}
        answer = await web.get("/", headers=address(desktop) | shown)
    assert answer.status_code == 200
    assert token not in answer.text
    url = server.url.replace("http", "ws")
    with pytest.raises(websockets.InvalidStatus) as refused:
        await websockets.connect(url, additional_headers=address(desktop), proxy=None)
    assert refused.value.response.status_code == 403


async def test_public_desktop_has_no_traffic_token(desktop: AsyncSandbox) -> None:
    assert desktop.traffic_access_token is None


async def test_masked_host_reaches_the_program_inside(
    create: Create, web: httpx.AsyncClient
) -> None:
    desktop = await create(network={"mask_request_host": "custom.example:${PORT}"})
    await serve(desktop, HTTP, "3000", "127.0.0.1")
    async with web:
        answer = await web.get("/", headers=address(desktop))
    assert answer.json()["headers"]["Host"] == "custom.example:3000"


async def test_paused_desktop_wakes_on_traffic_to_a_port(
    create: Create, web: httpx.AsyncClient
) -> None:
    desktop = await create(lifecycle={"on_timeout": "pause", "auto_resume": True})
    await serve(desktop, HTTP, "3000", "127.0.0.1")
    await desktop.pause()
    async with web:
        assert (await web.get("/", headers=address(desktop))).status_code == 200
    info = await desktop.get_info()
    assert info.state == "running"


async def test_more_connections_than_allowed_are_refused_and_room_comes_back(
    desktop: AsyncSandbox, server: Endpoint
) -> None:
    program = (
        "import socket, threading, sys\n"
        "s = socket.create_server(('127.0.0.1', 3000), backlog=512); print('ready', flush=True)\n"
        "held = []\n"
        "while True: held.append(s.accept()[0])"
    )
    handle = await serve(desktop, program)
    host, _, port = server.url.removeprefix("http://").partition(":")
    head = "".join(f"{name}: {value}\r\n" for name, value in address(desktop).items())
    request = f"GET / HTTP/1.1\r\nHost: x\r\n{head}\r\n".encode()

    async def ask() -> bytes:
        reader, writer = await asyncio.open_connection(host, int(port))
        writers.append(writer)
        writer.write(request)
        return await reader.readline()

    writers: list[asyncio.StreamWriter] = []
    waiting = {asyncio.create_task(ask()) for _ in range(160)}
    answers = []
    while len(answers) < 32:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        answers += [task.result() for task in done]
    assert {answer.split()[1] for answer in answers} == {b"429"}
    await handle.kill()
    ends = {answer.split()[1] for answer in await asyncio.gather(*waiting)}
    assert ends == {b"502"}  # let in, and cut when the program died
    for writer in writers:
        writer.close()
    answer = httpx.get(server.url, headers=address(desktop), trust_env=False)
    assert json.loads(answer.text)["message"].endswith("port is not open")
