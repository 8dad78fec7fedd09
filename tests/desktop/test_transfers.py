"""What travels over envd's HTTP calls: batches, gzip, metadata, composing, signatures, facts."""

import asyncio
import gzip
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import e2b
import httpx
import pytest
from e2b import AsyncSandbox

from sentient_desktop import Endpoint

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}


@pytest.fixture
async def envd(desktop: AsyncSandbox, server: Endpoint) -> AsyncIterator[httpx.AsyncClient]:
    """A plain client of the desktop's envd, with its token."""
    headers = {
        "e2b-sandbox-id": desktop.sandbox_id,
        "e2b-sandbox-port": "49983",
        "x-access-token": str(desktop._envd_access_token),
    }
    async with httpx.AsyncClient(base_url=server.url, headers=headers) as client:
        yield client


async def _put(envd: httpx.AsyncClient, path: str, data: bytes, **headers: str) -> httpx.Response:
    kind = {"content-type": "application/octet-stream", **headers}
    return await envd.post("/files", params={"path": path}, content=data, headers=kind)


async def test_write_files_of_a_thousand_is_one_batch_in_order(desktop: AsyncSandbox) -> None:
    files: list[Any] = [{"path": f"many/{n % 7}/{n}", "data": str(n)} for n in range(1000)]
    infos = await desktop.files.write_files(files)
    assert [info.path for info in infos] == [f"/home/user/many/{n % 7}/{n}" for n in range(1000)]
    assert (await desktop.commands.run("cat many/*/* | wc -c")).stdout == "2890\n"


async def test_write_files_with_one_that_fails_keeps_those_before_it(desktop: AsyncSandbox) -> None:
    files: list[Any] = [{"path": path, "data": "x"} for path in ("a", "/tmp", "b")]
    with pytest.raises(e2b.InvalidArgumentException, match="path is a directory: /tmp"):
        await desktop.files.write_files(files)
    assert await desktop.files.exists("a")
    assert not await desktop.files.exists("b")


async def test_write_files_of_the_same_path_twice_is_refused(desktop: AsyncSandbox) -> None:
    files: list[Any] = [{"path": path, "data": path} for path in ("a", "./a")]
    with pytest.raises(e2b.InvalidArgumentException, match="same path '/home/user/a'"):
        await desktop.files.write_files(files)
    assert await desktop.files.read("a") == "a"


async def test_upload_broken_off_is_no_success(envd: httpx.AsyncClient) -> None:
    form = b'--b\r\nContent-Disposition: form-data; name="file"; filename="half"\r\n\r\nonly this'
    kind = {"content-type": "multipart/form-data; boundary=b"}
    answer = await envd.post("/files", content=form, headers=kind)
    assert (answer.status_code, "ends inside a part" in answer.text) == (400, True)


RAW = {"content-type": "application/octet-stream"}


async def test_upload_broken_off_leaves_the_old_file_whole_and_no_draft(
    envd: httpx.AsyncClient, desktop: AsyncSandbox
) -> None:
    async def half() -> AsyncIterator[bytes]:
        yield b"x" * 200_000
        raise ConnectionError

    await desktop.files.write("half", "old and longer")
    with pytest.raises(ConnectionError):
        await envd.post("/files", params={"path": "half"}, content=half(), headers=RAW)
    while (await desktop.commands.run("ls -A /var/tmp/.uploads")).stdout:
        await asyncio.sleep(0.01)  # the test's time limit is the bound
    assert await desktop.files.read("half") == "old and longer"


async def test_upload_cut_off_by_the_end_of_all_processes_leaves_the_old_file_whole(
    envd: httpx.AsyncClient, desktop: AsyncSandbox
) -> None:
    begun = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 100_000
            begun.set()
            await asyncio.sleep(0.01)

    await desktop.files.write("half", "old")
    upload = envd.post("/files", params={"path": "half"}, content=endless(), headers=RAW)
    task = asyncio.create_task(upload)
    await begun.wait()
    await asyncio.sleep(0.1)
    await desktop.pause(mode="filesystem")
    task.cancel()
    await asyncio.wait({task})
    await desktop.connect()
    assert await desktop.files.read("half") == "old"
    assert (await desktop.commands.run("ls -A /var/tmp/.uploads")).stdout == ""


async def test_upload_keeps_mode_attributes_links_and_other_names(desktop: AsyncSandbox) -> None:
    await desktop.commands.run(
        "echo old > f; chmod 751 f; ln -s f link; echo old > one; ln one two;"
        'python3 -c \'import os; os.setxattr("f", "user.a", b"v")\''
    )
    await desktop.files.write_files(
        [{"path": "link", "data": "new"}, {"path": "one", "data": "new"}]
    )
    shown = "stat -c '%a %F' f link | tr '\\n' ' '; cat f link two;"
    shown += 'python3 -c \'import os; print(os.getxattr("f", "user.a"))\''
    result = await desktop.commands.run(shown)
    assert result.stdout == "751 regular file 777 symbolic link newnewnewb'v'\n"


@pytest.mark.parametrize(
    "packed",
    [b"", b"not gzip", gzip.compress(b"x" * 1000)[:-4]],
    ids=["empty", "other", "cut"],
)
async def test_gzip_upload_that_is_not_whole_is_refused(
    envd: httpx.AsyncClient, packed: bytes
) -> None:
    answer = await _put(envd, "f", packed, **{"content-encoding": "gzip"})
    assert (answer.status_code, "error decompressing" in answer.text) == (400, True)


async def test_gzip_bomb_is_unpacked_in_bounded_pieces(envd: httpx.AsyncClient) -> None:
    bomb = gzip.compress(bytes(64 << 20)) * 2
    assert (await _put(envd, "f", bomb, **{"content-encoding": "gzip"})).status_code == 200
    found = await envd.post("/filesystem.Filesystem/Stat", json={"path": "f"})
    assert found.json()["entry"]["size"] == str(128 << 20)


async def test_gzip_multipart_upload_is_stored_unpacked(
    envd: httpx.AsyncClient, desktop: AsyncSandbox
) -> None:
    request = envd.build_request("POST", "/files", files={"file": ("a", b"packed content")})
    kind = {"content-type": request.headers["content-type"], "content-encoding": "gzip"}
    answer = await envd.post("/files", content=gzip.compress(await request.aread()), headers=kind)
    assert answer.status_code == 200
    assert await desktop.files.read("a") == "packed content"


async def test_upload_of_another_kind_or_encoding_is_refused(envd: httpx.AsyncClient) -> None:
    answers = [
        await _put(envd, "f", b"x", **{"content-type": "text/plain"}),
        await _put(envd, "f", b"x", **{"content-encoding": "br"}),
    ]
    assert [answer.status_code for answer in answers] == [400, 400]
    assert "unsupported content type: text/plain" in answers[0].text
    assert "unsupported Content-Encoding: br, supported: [gzip]" in answers[1].text


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip", "gzip"),
        ("GZIP;q=0.5, identity;q=0.1", "gzip"),
        ("gzip;q=0.5, identity", None),
        ("*", None),
        ("identity;q=0, *", "gzip"),
        ("br", None),
        ("", None),
    ],
)
async def test_download_is_packed_when_the_client_prefers_it(
    envd: httpx.AsyncClient, accepted: str, encoding: str | None
) -> None:
    await _put(envd, "f", b"x" * 200_000)
    headers = {"accept-encoding": accepted}
    answer = await envd.get("/files", params={"path": "f"}, headers=headers)
    assert answer.headers.get("content-encoding") == encoding
    assert answer.content == b"x" * 200_000


async def test_download_nothing_can_be_agreed_on_is_refused(envd: httpx.AsyncClient) -> None:
    await _put(envd, "f", b"x")
    headers = {"accept-encoding": "br, *;q=0"}
    answer = await envd.get("/files", params={"path": "f"}, headers=headers)
    assert answer.status_code == 406


async def test_metadata_is_replaced_by_each_upload(
    envd: httpx.AsyncClient, desktop: AsyncSandbox
) -> None:
    first = await _put(envd, "f", b"1", **{"X-Metadata-A": "1", "x-metadata-b": "2"})
    assert first.json()[0]["metadata"] == {"a": "1", "b": "2"}
    await _put(envd, "f", b"2", **{"x-metadata-b": "3"})
    assert (await desktop.files.get_info("f")).metadata == {"b": "3"}
    assert "metadata" not in (await _put(envd, "f", b"3")).json()[0]


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("k" * 246, "v", None),
        ("k" * 247, "v", "exceeds 246 bytes"),
        ("k", "v" * (4096 - 10), None),
        ("k", "v" * (4096 - 9), "total metadata size 4097 exceeds 4096 bytes"),
        ("k", "tab\there", "not printable ASCII"),
    ],
)
async def test_metadata_bounds_are_those_of_e2b(
    envd: httpx.AsyncClient, name: str, value: str, error: str | None
) -> None:
    # In memory, because a disk may take less than E2B's bound.
    answer = await _put(envd, "/dev/shm/f", b"x", **{f"x-metadata-{name}": value})
    if error is None:
        assert answer.status_code == 200
    else:
        assert (answer.status_code, error in answer.text) == (400, True)


async def test_compose_joins_files_and_deletes_the_parts(
    envd: httpx.AsyncClient, desktop: AsyncSandbox
) -> None:
    await desktop.files.write_files([{"path": n, "data": n * 100_000} for n in "abc"])
    body = {"source_paths": ["b", "~/a", "c"], "destination": "d/whole"}
    answer = await envd.post("/files/compose", json=body)
    assert answer.json() == {"path": "/home/user/d/whole", "name": "whole", "type": "file"}
    whole = "b" * 100_000 + "a" * 100_000 + "c" * 100_000
    assert await desktop.files.read("d/whole") == whole
    assert not await desktop.files.exists("a")
    assert [entry.name for entry in await desktop.files.list("d")] == ["whole"]


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({"source_paths": [], "destination": "d"}, 400, "source_paths must not be empty"),
        ({"source_paths": ["a"]}, 400, "destination is required"),
        ({"source_paths": ["a", "no"], "destination": "d"}, 404, "source file not found: no"),
        ({"source_paths": ["/tmp"], "destination": "d"}, 400, "not a regular file: /tmp"),
        ({"source_paths": ["a"], "destination": "./a"}, 400, "cannot be the same as destination"),
        ({"source_paths": ["a"], "destination": "d", "username": "root"}, 401, "never as root"),
        ({"source_paths": "a", "destination": "d"}, 400, "source_paths must be a list"),
    ],
)
async def test_compose_refused_keeps_every_file(
    envd: httpx.AsyncClient, desktop: AsyncSandbox, body: Any, status: int, text: str
) -> None:
    await desktop.files.write("a", "kept")
    await desktop.files.write("d", "kept")
    answer = await envd.post("/files/compose", json=body)
    assert (answer.status_code, text in answer.text) == (status, True)
    assert await desktop.files.read("a") == await desktop.files.read("d") == "kept"


async def test_envs_and_metrics_tell_facts_to_who_has_the_token(
    create: Any, server: Endpoint
) -> None:
    desktop = await create(envs={"A": "1"})
    where = {"e2b-sandbox-id": desktop.sandbox_id, "e2b-sandbox-port": "49983"}
    token = {"x-access-token": desktop._envd_access_token}
    async with httpx.AsyncClient(base_url=server.url, headers=where) as client:
        assert (await client.get("/envs", headers=token)).json() == {"A": "1"}
        metrics = (await client.get("/metrics", headers=token)).json()
        refused = [await client.get(path) for path in ("/envs", "/metrics")]
    assert abs(metrics["ts"] - time.time()) < 60
    assert 0 < metrics["mem_used"] < metrics["mem_total"]
    assert 0 <= metrics["disk_used"] < metrics["disk_total"]
    assert [answer.status_code for answer in refused] == [401, 401]


async def test_signed_url_that_expired_says_so_as_e2b_does(desktop: AsyncSandbox) -> None:
    await desktop.files.write("f", "x")
    url = desktop.download_url("f", "user", use_signature_expiration=-120)
    async with httpx.AsyncClient() as client:
        answer = await client.get(url)
    assert answer.status_code == 401
    assert answer.json() == {"code": 401, "message": "signature is already expired"}


async def test_file_calls_for_root_are_refused_and_name_the_reason(desktop: AsyncSandbox) -> None:
    for call in (desktop.files.read("f", user="root"), desktop.files.write("f", "x", user="root")):
        with pytest.raises(e2b.AuthenticationException, match="never as root"):
            await call


HINDERED = """
import os
import sentient_desktop.sandbox.guest.transfers as transfers
def refuse(*_):
    raise PermissionError
transfers.DRAFTS = os.getcwd() + "/drafts"
open("target", "w").close()
os.mkdir("drafts")
before = os.listdir("/proc/self/fd")
transfers._copy_attributes = refuse
for _ in range(3):
    try:
        transfers.Draft(os.path.abspath("target"))
        raise SystemExit("no error")
    except PermissionError:
        pass
assert os.listdir("/proc/self/fd") == before, "a descriptor is left"
assert os.listdir("drafts") == [], "a file is left"
"""


def test_draft_that_cannot_be_prepared_leaves_no_file_and_no_descriptor(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", HINDERED], cwd=tmp_path, env=ENVIRONMENT, check=True)


async def test_drafts_left_by_uploads_are_swept_beside_what_the_guest_put_there(
    desktop: AsyncSandbox,
) -> None:
    await desktop.commands.run("mkdir -p /var/tmp/.uploads/0; cd /var/tmp/.uploads; touch a b z")
    await desktop.pause(mode="filesystem")
    await desktop.connect()
    assert (await desktop.commands.run("ls -A /var/tmp/.uploads")).stdout == "0\n"
