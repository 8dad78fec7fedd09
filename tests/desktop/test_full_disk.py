"""A data folder on a file system of 48 MiB that is really full: reads and kills go on."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2b import AsyncSandbox

SIZE_MIB = 48
HOLD = "mount -t tmpfs -o size={size}m,mode=700 tmpfs {folder} && echo held && exec sleep 3600"


class Tiny:
    """Servers on one small file system, which lives as long as a process holds its namespace."""

    def __init__(self, folder: Path) -> None:
        self._folder, root = folder, os.geteuid() == 0
        script = HOLD.format(size=SIZE_MIB, folder=folder)
        self._holder = self._run(["unshare", "-m" if root else "-Urm", "sh", "-c", script])
        if self._line(self._holder) != "held\n":
            pytest.skip("this machine lends no namespace for a small file system")
        self._enter = ["nsenter", "-m", "-t", str(self._holder.pid)]
        self._enter += [] if root else ["-U", "--preserve-credentials"]
        self._server: subprocess.Popen[str] | None = None

    def _run(self, command: list[str]) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        )  # fmt: skip

    def _line(self, process: "subprocess.Popen[str]") -> str:
        assert process.stdout
        return process.stdout.readline()

    def start(self) -> dict[str, Any]:
        """Start a server that keeps nearly nothing free; return the SDK's options."""
        serve = [sys.executable, "-P", "-m", "sentient_desktop", "serve", "--pool", "0"]
        serve += ["--free-mb", "0.01", "--data-dir", f"{self._folder}/data"]
        self._server = self._run([*self._enter, *serve])
        said = json.loads(self._line(self._server))
        url = {"api_url": said["url"], "sandbox_url": said["url"]}
        return {**url, "api_key": said["api_key"], "retries": 0}

    def stop(self) -> None:
        if self._server:
            self._server.terminate()
            self._server.communicate(timeout=30)
            self._server = None

    def close(self) -> None:
        self.stop()
        self._holder.kill()
        self._holder.communicate()


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Tiny]:
    server = Tiny(tmp_path)
    yield server
    server.close()


async def test_full_disk_refuses_with_507_answers_reads_and_is_freed_by_a_kill(tiny: Tiny) -> None:
    options = tiny.start()
    kept = await AsyncSandbox.create("base", timeout=600, **options)
    await kept.files.write("f", "precious")
    snapshot = await kept.create_snapshot(mode="filesystem")
    hog = await AsyncSandbox.create("base", timeout=600, **options)
    result = await hog.commands.run("dd if=/dev/zero of=big bs=4k 2>&1 || true")
    assert "No space left" in result.stdout

    for work in (
        kept.files.write("more", "x" * 100_000),
        hog.create_snapshot(mode="filesystem"),
        AsyncSandbox.create("base", timeout=600, **options),
    ):
        with pytest.raises(Exception, match=r"\b507\b|[Nn]o space left|NotEnoughSpace|MiB left"):
            await asyncio.wait_for(work, 30)
    assert await kept.files.read("f") == "precious"
    assert len(await AsyncSandbox.list(**options).next_items()) == 2
    await kept.get_info()
    assert (await kept.commands.run("cat f")).stdout == "precious"

    tiny.stop()
    assert tiny.start() == options
    assert await kept.files.read("f") == "precious"
    assert await AsyncSandbox.delete_snapshot(snapshot.snapshot_id, **options)
    assert await hog.kill()
    await kept.files.write("more", "x" * 100_000)
    again = await kept.create_snapshot(mode="filesystem")
    copy = await AsyncSandbox.create(again.snapshot_id, timeout=600, **options)
    assert await copy.files.read("f") == "precious"
