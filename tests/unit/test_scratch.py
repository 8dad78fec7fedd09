"""Temporary folders end with their process, however it ends."""

import subprocess
import sys
from pathlib import Path

from samples import ROOT

from tools.scratch import scratch_folder

KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from tools.scratch import scratch_folder

async def main():
    async with scratch_folder(Path(sys.argv[1])) as folder:
        (folder / "half.tar.gz").write_text("half")
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def test_scratch_folder_is_gone_after_its_context(tmp_path: Path) -> None:
    async with scratch_folder(tmp_path / "scratch") as folder:
        (folder / "file").write_text("x")
    assert list((tmp_path / "scratch").iterdir()) == []


async def test_scratch_folder_of_a_killed_process_is_removed_by_the_next(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == -9
    [left] = tmp_path.iterdir()
    async with scratch_folder(tmp_path) as folder:
        assert list(tmp_path.iterdir()) == [folder]
    assert not left.exists()


async def test_scratch_folder_of_a_living_owner_is_left_alone(tmp_path: Path) -> None:
    async with scratch_folder(tmp_path) as first, scratch_folder(tmp_path) as second:
        assert set(tmp_path.iterdir()) == {first, second}
