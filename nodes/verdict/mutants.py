"""Whether a test would notice a fault in the lines that a patch changed. Tells, blocks nothing."""

import time
from collections.abc import Iterable
from contextlib import suppress
from itertools import islice, zip_longest

from nodes.budgets import seconds_left
from nodes.gates.untested import Spans
from nodes.state import Finding
from nodes.verdict.pristine import Pristine
from tools.desktop import Desktop
from tools.errors import ToolError
from tools.layout import REPO
from tools.mutants import Mutant, mutants
from tools.results import Reach

SECONDS = 20.0
"""What trying mutants may take in all; one that is running then is cut short and says nothing."""

SHOWN = 80
"""Characters of a line that are quoted."""

READ_BYTES = 1 << 20

Covered = dict[str, dict[int, list[str]]]
"""By path and line the tests that run the line's statement."""


async def surviving_mutants(pristine: Pristine, spans: Spans, reach: Reach | None) -> list[Finding]:
    """Put faults into statements that tests run, one at a time, and let those tests run.

    Nothing is tried where so little time is left that it would be missed.
    """
    count, covered = pristine.step.settings.mutants, _covered(spans, reach)
    if not (count and covered) or seconds_left(pristine.state) < 2 * SECONDS:
        return []
    end, found = time.monotonic() + SECONDS, []
    async with pristine.fork(masked=False) as desktop:
        texts = await _read(desktop, covered)
        made = [mutants(path, text, covered[path], count) for path, text in texts.items()]
        for mutant in islice(_in_turn(made), count):
            tests = covered[mutant.path].get(mutant.line, [])
            await desktop.fs.write_file(f"{REPO}/{mutant.path}", mutant.text)
            if tests and await _survives(pristine, desktop, tests, end - time.monotonic()):
                found.append(_finding(mutant))
            await desktop.fs.write_file(f"{REPO}/{mutant.path}", texts[mutant.path])
    return found


def _covered(spans: Spans, reach: Reach | None) -> Covered:
    lines = (reach.lines if reach else None) or {}
    found: Covered = {}
    for path, mine in spans.items():
        for first, last in mine:
            ran = [lines.get(path, {}).get(line, []) for line in range(first, last + 1)]
            tests = sorted({test for names in ran for test in names if test})
            if tests:
                found.setdefault(path, {}).update(dict.fromkeys(range(first, last + 1), tests))
    return found


async def _read(desktop: Desktop, paths: Iterable[str]) -> dict[str, str]:
    texts = {}
    for path in paths:
        with suppress(ToolError, UnicodeDecodeError):
            texts[path] = (await desktop.fs.read_bytes(f"{REPO}/{path}", READ_BYTES)).decode()
    return texts


def _in_turn(made: list[list[Mutant]]) -> Iterable[Mutant]:
    return (mutant for one in zip_longest(*made) for mutant in one if mutant is not None)


async def _survives(pristine: Pristine, desktop: Desktop, tests: list[str], left_s: float) -> bool:
    if left_s < 1:
        return False
    run = await pristine.run(desktop, "mutant", only=tests, limit_s=left_s)
    return run.finished and set(run.ids("passed")) == set(tests)


def _finding(mutant: Mutant) -> Finding:
    before, after = mutant.before[:SHOWN], mutant.after[:SHOWN]
    return Finding(
        gate="mutants",
        message=f"{mutant.path}:{mutant.line} no test notices if `{before}` becomes `{after}`",
        blocking=False,
    )
