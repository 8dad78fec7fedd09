"""The file API: contents, listings, errors, and tricks that stay inside the desktop."""

import gzip
import io
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import e2b
import httpx
import pytest
from e2b import AsyncSandbox, FileType


async def test_write_then_read_returns_the_same_bytes(desktop: AsyncSandbox) -> None:
    data = os.urandom(100_000)
    info = await desktop.files.write("deep/er/file.bin", data)
    assert (info.path, info.name) == ("/home/user/deep/er/file.bin", "file.bin")
    assert bytes(await desktop.files.read("deep/er/file.bin", format="bytes")) == data


@pytest.mark.parametrize("text", ["", "x", "ä€😀\n" * 10])
async def test_text_round_trips(desktop: AsyncSandbox, text: str) -> None:
    await desktop.files.write("text", text)
    assert await desktop.files.read("text") == text


async def test_write_files_writes_all(desktop: AsyncSandbox) -> None:
    names = [f"/workspace/many/{n} ü.txt" for n in range(30)]
    infos = await desktop.files.write_files([{"path": n, "data": n} for n in names])
    assert [info.path for info in infos] == names
    listing = await desktop.files.list("/workspace/many")
    assert len(listing) == 30
    assert await desktop.files.read(names[7]) == names[7]


async def test_big_streamed_upload_and_download_are_whole(desktop: AsyncSandbox) -> None:
    data = os.urandom(1 << 20) * 12
    await desktop.files.write("big", io.BytesIO(data))
    stream = await desktop.files.read("big", format="stream")
    assert b"".join([chunk async for chunk in stream]) == data


async def test_gzip_upload_is_stored_unpacked(desktop: AsyncSandbox) -> None:
    await desktop.files.write("packed", b"y" * 300_000, gzip=True)
    assert (await desktop.commands.run("wc -c < packed")).stdout.strip() == "300000"


async def test_overwrite_keeps_mode_and_shortens(desktop: AsyncSandbox) -> None:
    await desktop.commands.run("echo 'long content' > f; chmod 750 f")
    await desktop.files.write("f", "s")
    info = await desktop.files.get_info("f")
    assert (info.size, info.mode, info.permissions) == (1, 0o750, "-rwxr-x---")


async def test_metadata_comes_back(desktop: AsyncSandbox) -> None:
    await desktop.files.write("tagged", "x", metadata={"author": "me", "kind": "note"})
    info = await desktop.files.get_info("tagged")
    assert info.metadata == {"author": "me", "kind": "note"}


async def test_list_with_depth_goes_down_that_far(desktop: AsyncSandbox) -> None:
    await desktop.commands.run("mkdir -p a/b/c; touch a/1 a/b/2 a/b/c/3")
    paths = [entry.path for entry in await desktop.files.list("a", depth=2)]
    assert paths == ["/home/user/a/1", "/home/user/a/b", "/home/user/a/b/2", "/home/user/a/b/c"]


async def test_symlink_is_reported_as_one_with_its_target(desktop: AsyncSandbox) -> None:
    await desktop.commands.run(
        "touch real; ln -s real first; ln -s first link; ln -s /nowhere broken"
    )
    link = await desktop.files.get_info("link")
    assert (link.type, link.symlink_target) == (FileType.SYMLINK, "/home/user/real")
    assert (await desktop.files.get_info("broken")).symlink_target == "/nowhere"


async def test_make_dir_answers_whether_it_was_new(desktop: AsyncSandbox) -> None:
    assert await desktop.files.make_dir("new/dir")
    assert not await desktop.files.make_dir("new/dir")


async def test_rename_and_remove_act_once(desktop: AsyncSandbox) -> None:
    await desktop.files.write("old", "x")
    assert (await desktop.files.rename("old", "sub/new")).path == "/home/user/sub/new"
    assert not await desktop.files.exists("old")
    await desktop.files.remove("sub")
    assert not await desktop.files.exists("sub/new")
    await desktop.files.remove("sub")


async def test_rename_of_a_folder_from_a_snapshot_works(create: Any, desktop: AsyncSandbox) -> None:
    await desktop.commands.run("mkdir -p d/e; echo 1 > d/e/f; ln -s e/f d/l; chmod 711 d/e")
    snapshot = await desktop.create_snapshot(mode="filesystem")
    copy = await create(snapshot.snapshot_id)
    await copy.files.rename("d", "moved")
    result = await copy.commands.run("cat moved/l; stat -c %a moved/e; ls -d d || true")
    assert result.stdout == "1\n711\n"


async def test_missing_things_raise_file_not_found(desktop: AsyncSandbox) -> None:
    for call in (
        desktop.files.read("none"),
        desktop.files.get_info("none"),
        desktop.files.list("none"),
        desktop.files.rename("none", "other"),
    ):
        with pytest.raises(e2b.FileNotFoundException):
            await call
    assert not await desktop.files.exists("none")


async def test_wrong_kinds_are_refused(desktop: AsyncSandbox) -> None:
    await desktop.commands.run("mkdir dir; touch file; mkfifo fifo")
    for call in (
        desktop.files.read("dir"),
        desktop.files.read("fifo"),
        desktop.files.write("dir", "x"),
        desktop.files.list("file"),
        desktop.files.make_dir("file"),
        desktop.files.write("file/below", "x"),
    ):
        with pytest.raises(e2b.InvalidArgumentException):
            await call


async def test_full_disk_bound_is_reported_as_no_space(desktop: AsyncSandbox) -> None:
    await desktop.commands.run("fallocate -l 255M /dev/shm/filler")
    with pytest.raises(e2b.NotEnoughSpaceException):
        await desktop.files.write("/dev/shm/big", b"\0" * (2 << 20))


async def test_read_only_places_refuse_writes(desktop: AsyncSandbox) -> None:
    for path in ("/usr/bin/evil", "/etc/passwd", "/opt/desktop/bin/python", "/proc/sys/kernel/x"):
        with pytest.raises(e2b.SandboxException):
            await desktop.files.write(path, "x")


@pytest.mark.parametrize(
    "trick",
    [
        "ln -s {secret} t",
        "ln -s {folder} d; ln -s d/secret t",
        "ln -s /proc/1/root{secret} t",
        "ln -s /proc/self/root{secret} t",
        "ln -s ../../../../../../..{secret} t",
        "ln -s /oldroot{secret} t",
        "ln -s /proc/1/cwd{secret} t",
    ],
)
async def test_symlink_tricks_through_the_file_api_stay_inside(
    desktop: AsyncSandbox, tmp_path: Path, trick: str
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("host only")
    await desktop.commands.run(trick.format(secret=secret, folder=tmp_path))
    with pytest.raises(e2b.SandboxException):
        await desktop.files.read("t")
    with suppress(e2b.SandboxException):
        await desktop.files.write("t", "overwritten")
    assert secret.read_text() == "host only"


async def test_signed_urls_work_without_naming_the_sandbox(desktop: AsyncSandbox) -> None:
    async with httpx.AsyncClient() as client:
        up = desktop.upload_url("signed.txt")
        sent = await client.post(up, files={"file": ("signed.txt", b"by url")})
        assert sent.status_code == 200, sent.text
        assert await desktop.files.read("signed.txt") == "by url"
        down = desktop.download_url("signed.txt", use_signature_expiration=60)
        assert (await client.get(down)).content == b"by url"
        assert (await client.get(down.replace("signed.txt", "other.txt"))).status_code == 401
        stale = desktop.download_url("signed.txt", use_signature_expiration=-60)
        answer = await client.get(stale)
        assert answer.status_code == 401
        assert "expired" in answer.text


async def test_files_without_token_or_signature_are_refused(
    desktop: AsyncSandbox, options: dict[str, Any]
) -> None:
    headers = {"E2b-Sandbox-Id": desktop.sandbox_id, "E2b-Sandbox-Port": "49983"}
    async with httpx.AsyncClient(base_url=options["api_url"], headers=headers) as client:
        assert (await client.get("/files", params={"path": "x"})).status_code == 401
        wrong = {"X-Access-Token": "0" * 40}
        assert (await client.get("/files?path=x", headers=wrong)).status_code == 401
        rpc = "/filesystem.Filesystem/Stat"
        assert (await client.post(rpc, json={"path": "/"})).status_code == 401
        broken = {"content-encoding": "gzip", "content-type": "application/octet-stream"}
        token = {"X-Access-Token": desktop._envd_access_token}
        body = gzip.compress(b"whole")[:-9]
        cut = await client.post("/files?path=x", content=body, headers=broken | token)
        assert cut.status_code == 400
