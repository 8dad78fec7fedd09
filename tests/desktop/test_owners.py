"""Several API keys on one server: owners neither see nor touch each other, and have quotas."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import e2b
import httpx
import pytest
from e2b import AsyncSandbox

from sentient_desktop import Endpoint, ensure_server
from sentient_desktop.__main__ import main

Key = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def key(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Key:
    """Runs the command that changes keys, in this process: importing it takes a while."""

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        argv = ["sentient_desktop", "key", *arguments, "--data-dir", str(folder)]
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", argv)
        return subprocess.CompletedProcess(argv, main(), *capsys.readouterr())

    return run


def options_of(endpoint: Endpoint, api_key: str, options_for: Any) -> dict[str, Any]:
    return dict(options_for(Endpoint(endpoint.url, api_key.strip())))


async def test_owners_are_strangers_to_each_other(folder: Path, key: Any, options_for: Any) -> None:
    endpoint = ensure_server(folder)
    ours = options_for(endpoint)
    theirs = options_of(endpoint, key("add", "other").stdout, options_for)
    mine, other = [await AsyncSandbox.create("base", **who) for who in (ours, theirs)]
    snapshot = await mine.create_snapshot(mode="filesystem", name="nightly")
    for who, visible in ((ours, mine), (theirs, other)):
        listed = await AsyncSandbox.list(**who).next_items()
        assert [info.sandbox_id for info in listed] == [visible.sandbox_id]
    listed_snapshots = await AsyncSandbox.list_snapshots(**theirs).next_items()
    assert listed_snapshots == []
    for name in (snapshot.snapshot_id, "nightly"):
        assert not await AsyncSandbox.delete_snapshot(name, **theirs)
        with pytest.raises(e2b.SandboxException, match="404"):
            await AsyncSandbox.create(name, **theirs)
    headers = {"X-API-KEY": theirs["api_key"]}
    one = f"/sandboxes/{mine.sandbox_id}"
    calls = [
        ("GET", one),
        ("DELETE", one),
        ("GET", f"{one}/metrics"),
        ("PUT", f"{one}/network"),
    ] + [
        ("POST", f"{one}/{action}")
        for action in ("connect", "resume", "timeout", "refreshes", "pause", "snapshots", "fork")
    ]
    async with httpx.AsyncClient(base_url=endpoint.url, headers=headers) as client:
        for prefix in ("", "/v2"):
            for method, path in calls:
                answer = await client.request(method, prefix + path, json={"timeout": 1})
                assert answer.status_code == 404, (method, path)
                assert answer.json()["message"] == f"sandbox '{mine.sandbox_id}' not found"
        batch = await client.get("/sandboxes/metrics", params={"sandbox_ids": mine.sandbox_id})
        assert batch.json() == {"sandboxes": {}}
        assert (await client.get("/metrics")).status_code == 403
    assert (await mine.commands.run("echo untouched")).stdout == "untouched\n"
    # the harmless twin: the owner may do all of it
    copy = await AsyncSandbox.create("nightly", **ours)
    assert await copy.kill()
    assert await AsyncSandbox.delete_snapshot(snapshot.snapshot_id, **ours)


async def test_key_is_stored_as_its_digest_and_dies_when_removed(
    folder: Path, key: Any, options_for: Any
) -> None:
    endpoint = ensure_server(folder)
    api_key = key("add", "ci").stdout
    options = options_of(endpoint, api_key, options_for)
    assert await AsyncSandbox.list(**options).next_items() == []
    assert api_key.strip() not in (folder / "keys.json").read_text()
    assert (folder / "keys.json").stat().st_mode & 0o077 == 0
    assert key("add", "ci").returncode == 1
    for name in ("default", "No", "", "../x"):
        assert "cannot be an owner's name" in key("add", name).stderr
    assert key("remove", "ci").returncode == 0
    assert "no key of an owner" in key("remove", "ci").stderr
    with pytest.raises(e2b.AuthenticationException):
        await AsyncSandbox.list(**options).next_items()


async def test_quotas_are_refused_by_name_and_not_retried(
    folder: Path, key: Any, options_for: Any
) -> None:
    endpoint = ensure_server(folder, ["--memory-mb", "256", "--max-memory-mb", "512"])
    few = options_of(endpoint, key("add", "few", "--max-desktops", "1").stdout, options_for)
    desktop = await AsyncSandbox.create("base", **few)
    for attempt in (
        lambda: AsyncSandbox.create("base", **few),
        desktop.fork,
    ):
        with pytest.raises(e2b.RateLimitException, match=r"quota desktops of owner 'few' is 1"):
            await attempt()
    async with httpx.AsyncClient(base_url=endpoint.url) as client:
        headers = {"X-API-KEY": few["api_key"]}
        answer = await client.post("/sandboxes", headers=headers, json={"templateID": "base"})
        assert answer.headers["should-retry"] == "false"
    await desktop.kill()
    await (await AsyncSandbox.create("base", **few)).kill()
    ours = options_for(endpoint)
    for _ in range(2):
        await AsyncSandbox.create("base", **ours)
    with pytest.raises(e2b.RateLimitException, match=r"quota memory_bytes of owner 'default'"):
        await AsyncSandbox.create("base", **ours)


async def test_quota_on_snapshots_bounds_their_disk(
    folder: Path, key: Any, options_for: Any
) -> None:
    endpoint = ensure_server(folder)
    options = options_of(endpoint, key("add", "s", "--max-snapshot-mb", "3").stdout, options_for)
    desktop = await AsyncSandbox.create("base", **options)
    await desktop.commands.run("head -c 4000000 /dev/urandom > data")
    first = await desktop.create_snapshot(mode="filesystem")
    with pytest.raises(e2b.RateLimitException, match="quota snapshot_bytes"):
        await desktop.create_snapshot(mode="filesystem")
    assert await AsyncSandbox.delete_snapshot(first.snapshot_id, **options)
    await desktop.create_snapshot(mode="filesystem")


@pytest.mark.long
async def test_snapshots_taken_side_by_side_do_not_pass_the_quota(
    folder: Path, key: Any, options_for: Any
) -> None:
    endpoint = ensure_server(folder)
    options = options_of(endpoint, key("add", "s", "--max-snapshot-mb", "3").stdout, options_for)
    desktop = await AsyncSandbox.create("base", **options)
    await desktop.commands.run("head -c 4000000 /dev/urandom > data")
    taking = [desktop.create_snapshot(mode="filesystem") for _ in range(4)]
    taken = await asyncio.gather(*taking, return_exceptions=True)
    assert sorted(type(result).__name__ for result in taken) == [
        "RateLimitException", "RateLimitException", "RateLimitException", "SnapshotInfo",
    ]  # fmt: skip


def test_damaged_keys_file_is_named(folder: Path, key: Any) -> None:
    (folder / "keys.json").write_text(json.dumps(["x"]))
    result = key("add", "a")
    assert result.returncode == 1
    assert "keys.json is damaged" in result.stderr
