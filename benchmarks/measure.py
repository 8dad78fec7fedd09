"""What every benchmark is made of: timed repeats, percentiles, and the rows of the table."""

import asyncio
import json
import math
import os
import platform
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

Step = Callable[[], Awaitable[object]]


@dataclass(frozen=True)
class Row:
    """One measured quantity beside its goal and the limit the machine itself sets."""

    name: str
    unit: str
    p50: float
    p99: float
    repeats: int
    goal: str
    met: bool
    limit: str = ""
    """What the limit is: the same work done without this server, SDK or isolation."""
    limit_p50: float | None = None


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least ``share`` (0 to 1) of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


async def times_ms(step: Step, repeats: int, *, warm_up: int = 2) -> list[float]:
    """Time ``repeats`` runs of a step, in milliseconds, after some that do not count."""
    found = []
    for number in range(warm_up + repeats):
        start = time.perf_counter()
        await step()
        if number >= warm_up:
            found.append(1000 * (time.perf_counter() - start))
    return found


def blocking(work: Callable[[], object]) -> Step:
    """Make a step of something that blocks, run on this very thread: threads would add to it."""

    async def step() -> None:
        work()

    return step


def row(
    name: str,
    values: Sequence[float],
    goal_ms: float,
    *,
    p99_goal_ms: float | None = None,
    limit: str = "",
    limits: Sequence[float] = (),
) -> Row:
    """Summarise times in milliseconds against a goal for the median and, if given, the p99."""
    p50, p99 = statistics.median(values), percentile(values, 0.99)
    goal = f"p50 <= {goal_ms:g}" + (f", p99 <= {p99_goal_ms:g}" if p99_goal_ms else "")
    met = p50 <= goal_ms and (p99_goal_ms is None or p99 <= p99_goal_ms)
    limit_p50 = statistics.median(limits) if limits else None
    return Row(name, "ms", p50, p99, len(values), goal, met, limit, limit_p50)


def resident_mib(pid: int) -> float:
    """Return the resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


async def peak_growth_mib(pid: int, work: Awaitable[object]) -> tuple[float, float]:
    """Return how far a process's resident memory rose while ``work`` ran, and its seconds."""
    before, start = resident_mib(pid), time.perf_counter()
    peak, task = before, asyncio.ensure_future(work)
    while not task.done():
        await asyncio.wait({task}, timeout=0.05)
        peak = max(peak, resident_mib(pid))
    task.result()
    return peak - before, time.perf_counter() - start


def machine() -> dict[str, Any]:
    """Describe where the numbers come from, the load of the moment included."""
    return {
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / (1 << 30)),
        "python": platform.python_version(),
        "root": os.geteuid() == 0,
        "load": os.getloadavg()[0],
    }


def show(rows: Sequence[Row]) -> None:
    """Print the table for people."""
    table = Table("what", "p50", "p99", "n", "goal", "met", "physical limit", "p50")
    for item in rows:
        limit = "" if item.limit_p50 is None else f"{item.limit_p50:.2f}"
        table.add_row(
            item.name, f"{item.p50:.2f} {item.unit}", f"{item.p99:.2f}", str(item.repeats),
            item.goal, "yes" if item.met else "NO", item.limit, limit,
        )  # fmt: skip
    Console(width=150).print(table)


def save(rows: Sequence[Row], path: Path) -> None:
    """Write machine and rows as JSON."""
    path.write_text(json.dumps({"machine": machine(), "rows": [asdict(r) for r in rows]}, indent=1))
