"""Command line: ``python -m benchmarks [--json PATH] [--only GROUP ...] [--quick]``."""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from benchmarks.commands import measure_commands, measure_density
from benchmarks.durability import measure_durability
from benchmarks.files import measure_files
from benchmarks.interpreter import measure_interpreter
from benchmarks.lifecycle import measure_lifecycle, measure_snapshots
from benchmarks.measure import Row, save, show
from benchmarks.subject import Subject, serve

GROUPS: dict[str, tuple[Callable[[Subject, int], Awaitable[list[Row]]], int, int]] = {
    "lifecycle": (measure_lifecycle, 100, 10),
    "commands": (measure_commands, 300, 30),
    "files": (measure_files, 300, 30),
    "interpreter": (measure_interpreter, 200, 30),
    "snapshots": (measure_snapshots, 20, 5),
    "durability": (measure_durability, 100, 10),
    "density": (measure_density, 200, 20),
}
"""Each group with its number of repeats (of desktops, for density), full and quick."""


async def _measure(only: list[str], *, quick: bool) -> list[Row]:
    rows: list[Row] = []
    for name in only:
        group, full, few = GROUPS[name]
        sys.stderr.write(f"measuring {name} ...\n")
        async with serve() as subject:
            rows += await group(subject, few if quick else full)
    return rows


def main() -> None:
    """Measure, print the table, and write JSON if a path is given."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--json", type=Path, help="write machine and rows to this file")
    parser.add_argument("--only", nargs="*", choices=GROUPS, default=list(GROUPS))
    parser.add_argument("--quick", action="store_true", help="a tenth of the repeats")
    options = parser.parse_args()
    rows = asyncio.run(_measure(options.only, quick=options.quick))
    show(rows)
    if options.json:
        save(rows, options.json)


if __name__ == "__main__":
    main()
