"""kill -9 of the desktop server at named points and at any instant, at work and while it recovers.

What was acknowledged is there byte for byte, what was not is there whole or not at all, snapshots
are complete, and nothing is left over: rows, folders, processes, mounts, control groups.
"""

import os
import shutil
import signal
import sys
from pathlib import Path

import pytest
from nursery import Blow, Nursery
from server_kills import Campaign, Tally, left_over

from sentient_desktop.store.trees import remove_tree

ANY = "any instant"
SEEDS = range(1, 11)
KILLS = 50


async def killed(tmp_path: Path, templates: Path, seed: int, rounds: int, deep: float) -> Tally:
    """Run a campaign in a folder of its own, which starts with a template that exists."""
    (tmp_path / "desktop").mkdir()
    shutil.copytree(templates, tmp_path / "desktop/templates", symlinks=True)
    try:
        return await Campaign(tmp_path, seed, deep=deep).run(rounds)
    finally:
        remove_tree(tmp_path / "desktop")


@pytest.fixture(scope="session")
def templates(home: Path) -> Path:
    return home / "desktop/templates"


async def test_server_killed_at_work_and_while_recovering_keeps_its_promises(
    tmp_path: Path, templates: Path
) -> None:
    tally = await killed(tmp_path, templates, seed=0, rounds=6, deep=0.4)
    assert not tally.problems
    assert tally.kills >= 6
    assert tally.depths[2] >= 1, tally


async def test_server_killed_while_its_probe_starts_leaves_no_child_of_bubblewrap(
    tmp_path: Path, templates: Path
) -> None:
    data_dir = tmp_path / "desktop"
    data_dir.mkdir()
    shutil.copytree(templates, data_dir / "templates", symlinks=True)
    nursery = Nursery()
    try:
        for _ in range(5):
            nursery.order(data_dir, Blow("probe spawned", "after"))
            assert nursery.wait_dead() == -signal.SIGKILL
        nursery.order(data_dir)
        ready = nursery.wait_ready()
        assert ready
        found = left_over(data_dir, ready["ready"], within_s=2)
        os.kill(ready["ready"], signal.SIGTERM)
        nursery.wait_dead()
    finally:
        nursery.close()
        remove_tree(data_dir)
    assert not found


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", SEEDS)
async def test_fifty_servers_killed_keep_their_promises(
    tmp_path: Path, templates: Path, seed: int
) -> None:
    tally = await killed(tmp_path, templates, seed, KILLS, deep=0.1)
    sys.stdout.write(f"{tally}\n")
    assert not tally.problems
    assert tally.kills >= KILLS
    assert 10 <= tally.points[ANY] <= 0.8 * KILLS, "both kinds of kills"
    for what in ("write", "append", "snapshot", "pause", "restore", "fork"):
        assert tally.in_flight[what] >= 2, f"no kill during {what}: {tally}"


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", SEEDS)
async def test_recoveries_killed_three_deep_keep_the_promises(
    tmp_path: Path, templates: Path, seed: int
) -> None:
    tally = await killed(tmp_path, templates, 100 + seed, 8, deep=1)
    sys.stdout.write(f"{tally}\n")
    assert not tally.problems
    assert tally.depths[1] == tally.depths[2] == tally.depths[3] == 8
