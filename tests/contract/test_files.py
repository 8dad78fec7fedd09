"""Contract: files and folders, signed URLs, watching."""

import asyncio
import urllib.request
from typing import Any

import e2b
import pytest
from e2b import AsyncSandbox, FilesystemEvent, FilesystemEventType, FileType
from e2b.sandbox.filesystem.filesystem import WriteEntry


async def test_write_and_read_text_bytes_and_stream(desktop: AsyncSandbox) -> None:
    info = await desktop.files.write("a/b.txt", "text ü")
    assert info.path == "/home/user/a/b.txt"
    assert await desktop.files.read("a/b.txt") == "text ü"
    await desktop.files.write("raw", b"\0\xff")
    assert bytes(await desktop.files.read("raw", format="bytes")) == b"\0\xff"
    stream = await desktop.files.read("raw", format="stream")
    assert b"".join([chunk async for chunk in stream]) == b"\0\xff"


async def test_write_files_in_one_call(desktop: AsyncSandbox) -> None:
    entries = [WriteEntry(path=f"many/{n}", data=str(n)) for n in range(20)]
    assert len(await desktop.files.write_files(entries)) == 20
    assert await desktop.files.read("many/19") == "19"


async def test_gzip_upload_and_download(desktop: AsyncSandbox) -> None:
    await desktop.files.write("big", "x" * 100_000, gzip=True)
    assert len(await desktop.files.read("big", gzip=True)) == 100_000


async def test_metadata_is_kept_and_cleared_by_overwriting(desktop: AsyncSandbox) -> None:
    await desktop.files.write("m", "1", metadata={"author": "me"})
    assert (await desktop.files.get_info("m")).metadata == {"author": "me"}
    await desktop.files.write("m", "2")
    assert (await desktop.files.get_info("m")).metadata is None


async def test_list_info_exists_make_dir_rename_remove(desktop: AsyncSandbox) -> None:
    assert await desktop.files.make_dir("d/e")
    assert not await desktop.files.make_dir("d/e")
    await desktop.files.write("d/f", "123")
    listed = {entry.name: entry.type for entry in await desktop.files.list("d")}
    assert listed == {"e": FileType.DIR, "f": FileType.FILE}
    info = await desktop.files.get_info("d/f")
    assert (info.size, info.owner, info.permissions) == (3, "user", "-rw-r--r--")
    await desktop.files.rename("d/f", "d/g")
    assert not await desktop.files.exists("d/f")
    await desktop.files.remove("d")
    assert not await desktop.files.exists("d/g")


@pytest.mark.parametrize("call", ["read", "list", "get_info"])
async def test_missing_path_is_a_file_not_found(desktop: AsyncSandbox, call: str) -> None:
    with pytest.raises(e2b.FileNotFoundException):
        await getattr(desktop.files, call)("nowhere")


async def test_signed_urls_upload_and_download(desktop: AsyncSandbox) -> None:
    await desktop.files.write("signed", "by url")
    url = desktop.download_url("signed", use_signature_expiration=60)

    def fetch() -> bytes:
        with urllib.request.urlopen(url) as answer:
            return bytes(answer.read())

    assert await asyncio.to_thread(fetch) == b"by url"


@pytest.mark.parametrize("recursive", [False, True])
async def test_watch_reports_what_happens_in_a_folder(
    desktop: AsyncSandbox, recursive: bool
) -> None:
    await desktop.files.make_dir("w/sub")
    events: asyncio.Queue[FilesystemEvent] = asyncio.Queue()
    watch = await desktop.files.watch_dir("w", on_event=events.put, recursive=recursive)
    name = "sub/f" if recursive else "f"
    await desktop.files.write(f"w/{name}", "x")
    async with asyncio.timeout(10):
        while (event := await events.get()).type is not FilesystemEventType.CREATE:
            pass
    assert event.name == name
    await watch.stop()


async def test_files_of_a_killed_sandbox_say_so(create: Any) -> None:
    sandbox = await create()
    await sandbox.kill()
    with pytest.raises(e2b.SandboxNotRunningException):
        await sandbox.files.list("/")
