"""What is left behind is seen: each kind is made here, and found."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from leftovers import leaks, take, take_at_rest

from tools.connection import Connection
from tools.desktop import Desktop, delete_snapshot
from tools.settings import Settings

ORPHAN = """
import os, subprocess, sys
child = subprocess.Popen(["sleep", "300"], stdout=-3, stderr=-3)
print(child.pid, flush=True)
os._exit(0)
"""


async def test_leftovers_desktop_and_snapshot_are_seen_until_they_are_gone(
    settings: Settings, home: Path
) -> None:
    before = take_at_rest(home)
    desktop = await Desktop.create(connection=Connection(settings))
    await desktop.start("sleep 300")
    snapshot = await desktop.snapshot()
    grown = take(home).grown(before)
    assert {line.split(":")[0] for line in grown} >= {
        "desktops", "snapshots", "layers", "processes", "descriptors"
    }, grown  # fmt: skip
    assert any("sleep" in line for line in grown)
    await desktop.kill()
    await delete_snapshot(Connection(settings), snapshot)
    assert leaks(home, before) == []


def test_leftovers_orphans_and_left_files_are_seen_until_they_are_gone(home: Path) -> None:
    before = take_at_rest(home)
    left = home / "desktop/desktops/istray"
    left.mkdir()
    env = {**os.environ, "SENTIENT_HOME": str(home)}
    command = [sys.executable, "-c", ORPHAN]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    grown = leaks(home, before, within_s=0.2)
    assert sorted(grown) == [
        "processes: sleep N (orphan) (1 more)",
        "strays: folder of no desktop: istray (1 more)",
    ]
    os.kill(int(done.stdout), signal.SIGKILL)
    left.rmdir()
    assert leaks(home, before) == []
