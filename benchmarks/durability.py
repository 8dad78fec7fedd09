"""What durability costs: a step of a graph with its snapshot and its checkpoint, and a resume."""

import asyncio
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import wraps
from itertools import pairwise
from pathlib import Path
from typing import Any

from langchain_core.messages import HumanMessage

from benchmarks.durable_step import CHANGED, change_files, open_graph, thread_config
from benchmarks.measure import Row, Step, blocking, percentile, row, times_ms
from benchmarks.subject import Subject
from checkpoints.binding import Binding
from nodes.context import Step as NodeStep
from nodes.context import Update
from nodes.state import State
from tools.desktop import Desktop
from tools.layout import REPO

FILES = (100, 5_000)
STEP_GOAL_MS = 40
THREAD_GOAL_KB = 100
RESUME_GOAL_MS = 1500
SETTLING = 3
"""First steps of a thread that do not count: they copy what was put into the desktop before."""

LONG_CONVERSATION = [HumanMessage(f"{number} " + "word " * 800) for number in range(200)]


@dataclass
class Parts:
    """Milliseconds that named parts of the steps took, in the order they were done."""

    times: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    @contextmanager
    def timing(self, owner: Any, method: str, name: str) -> Iterator[None]:
        """Time every call of an asynchronous method."""
        original: Callable[..., Any] = getattr(owner, method)

        @wraps(original)
        async def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return await original(*args, **kwargs)
            finally:
                self.times[name].append(1000 * (time.perf_counter() - start))

        setattr(owner, method, timed)
        try:
            yield
        finally:
            setattr(owner, method, original)


async def measure_durability(subject: Subject, repeats: int) -> list[Row]:
    """Measure steps in a small and a large repository, a long conversation, and resuming."""
    limits = await times_ms(_bare_step(subject.data_dir), repeats)
    rows: list[Row] = []
    for files in FILES:
        rows += await _measure_steps(subject, repeats, files, limits)
    rows += await _measure_thread(subject, repeats)
    return [*rows, await _measure_resume(subject, max(3, repeats // 10))]


async def _measure_steps(
    subject: Subject, repeats: int, files: int, limits: list[float]
) -> list[Row]:
    home, thread, parts = subject.data_dir.parent, f"steps-{files}", Parts()
    entered: list[float] = []

    async def work(state: State, step: NodeStep) -> Update:
        entered.append(1000 * time.perf_counter())
        desktop = await step.desktop()
        if not state.get("steps"):
            await _fill(desktop, files)
        return await change_files(state, step)

    async with open_graph(home, work) as (graph, saver):
        with (
            parts.timing(Binding, "open", "open: turn the mark"),
            parts.timing(Desktop, "snapshot", "snapshot"),
            parts.timing(saver, "aput_writes", "saver: writes of the node"),
            parts.timing(saver, "aput", "saver: checkpoint"),
        ):
            await graph.ainvoke({"max_attempts": SETTLING + repeats + 1}, thread_config(thread))
    steps = [after - before for before, after in pairwise(entered)]
    name = f"step, {CHANGED} of {files:,} files changed"
    limit = f"cp -a of {CHANGED} files, sync; 2 x 4 KiB write, fsync"
    whole = row(name, steps[SETTLING:], STEP_GOAL_MS, limit=limit, limits=limits)
    return [whole, *(_part(f"  {what}", times) for what, times in parts.times.items())]


def _part(name: str, times: list[float]) -> Row:
    counted = times[SETTLING:]
    median, p99 = statistics.median(counted), percentile(counted, 0.99)
    return Row(name, "ms", median, p99, len(counted), "", met=True)


async def _fill(desktop: Desktop, files: int) -> None:
    path = '"d" $1%100 "/f" $1 ".py"'
    script = f"""mkdir -p {REPO}/d{{0..99}}; cd {REPO}
seq 0 {files - 1} | awk '{{f = {path}; print "value =", $1 > f; close(f)}}'"""
    execution = await desktop.exec("bash", ["-c", script], timeout_s=600)
    assert execution.ok, execution
    await asyncio.to_thread(os.sync)  # or the first steps wait for all that was written before


async def _measure_thread(subject: Subject, repeats: int) -> list[Row]:
    """Measure how the thread database grows, with few and with many messages in the state."""
    rows = []
    for name, messages in (("short", []), ("long (800 KB)", LONG_CONVERSATION)):
        with tempfile.TemporaryDirectory(dir=subject.data_dir.parent) as folder:
            home = Path(folder)
            (home / "desktop").symlink_to(subject.data_dir)
            start = {"max_attempts": 1, "messages": messages}
            async with open_graph(home, change_files) as (graph, _):
                await graph.ainvoke(start, thread_config("growing"))
                before = _database_kb(home)
                await graph.aupdate_state(
                    thread_config("growing"), {"max_attempts": repeats + 1}, as_node="work"
                )
                await graph.ainvoke(None, thread_config("growing"))
            grown = (_database_kb(home) - before) / repeats
        goal = f"<= {THREAD_GOAL_KB}"
        what = f"thread database a step, {name} conversation"
        rows.append(Row(what, "KB", grown, grown, repeats, goal, grown <= THREAD_GOAL_KB))
    return rows


def _database_kb(home: Path) -> float:
    with closing(sqlite3.connect(home / "threads.db")) as connection:
        size = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
        return float(connection.execute(size).fetchone()[0]) / 1000


async def _measure_resume(subject: Subject, repeats: int) -> Row:
    """Time from opening the threads to the restored desktop, after kill -9 in a dirty node."""
    home, thread, times = subject.data_dir.parent, f"steps-{FILES[-1]}", []
    ready: list[float] = []

    async def work(state: State, step: NodeStep) -> Update:
        await step.desktop()
        ready.append(time.perf_counter())
        return {"max_attempts": state["steps"] + 1, **await change_files(state, step)}

    program = [sys.executable, "-m", "benchmarks.durable_step", str(home), thread]
    for _ in range(repeats):
        killed = await asyncio.to_thread(subprocess.run, program, check=False)
        assert killed.returncode < 0, killed
        start = time.perf_counter()
        async with open_graph(home, work) as (graph, _):
            await graph.ainvoke(None, thread_config(thread))
        times.append(1000 * (ready[-1] - start))
    return row("resume after kill -9, files restored", times, RESUME_GOAL_MS)


def _bare_step(folder: Path) -> Step:
    """The same bytes made durable by hand: copies that are synced, and two synced writes."""
    source = folder / "source"
    source.mkdir()
    for number in range(CHANGED):
        (source / str(number)).write_text(str(number))
    command = ["bash", "-c", f"cp -a {source} {folder}/bare$$ && sync -f {folder}"]

    def work() -> None:
        subprocess.run(command, check=True)
        with (folder / "bare").open("ab") as file:
            for _ in range(2):
                file.write(os.urandom(4096))
                file.flush()
                os.fsync(file.fileno())

    return blocking(work)
