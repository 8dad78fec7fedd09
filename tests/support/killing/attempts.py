"""One attempt: a thread killed as planned, resumed until it ends, and looked at from outside."""

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from census import Census, leaks

from checkpoints.ledger import Ledger
from killing.children import NO_BLOW, Ended, fork, spawn
from killing.job import EFFECTS, World, run_thread
from killing.plan import Attempt

COMPARED = ("kind", "status", "patch", "report", "conversation", "outcomes", "desktops")


@dataclass
class Result:
    """What became of an attempt; without problems it is a success."""

    number: int
    fresh: bool
    kills: list[dict[str, Any]] = field(default_factory=list)
    """Where each kill hit: node, stage, point, and whether an effect had begun before."""
    missed: int = 0
    """Blows that came after the end."""
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0


def carry_out(
    world: World, attempt: Attempt, oracle: dict[str, Any], before: Census, folder: Path
) -> Result:
    """Kill and resume one thread; compare its outcome with the oracle's, and count what is left."""
    started = time.monotonic()
    folder.mkdir()
    thread = f"attempt-{attempt.number}"
    result = Result(attempt.number, attempt.fresh)
    begun = False
    for blow in attempt.blows:
        run = _fresh(world, thread, folder) if attempt.fresh else _forked(world, thread, folder)
        ended = run(blow)
        begun = begun or ended.effects > 0
        if ended.killed:
            result.kills.append({**asdict(ended.place), "after_effect": begun})
            continue
        result.missed += 1
        _note_failure(result, ended, folder)
    if attempt.fresh:
        _note_failure(result, _fresh(world, thread, folder)(NO_BLOW), folder)
    outcome = folder / "outcome"
    outcome.unlink(missing_ok=True)
    ended = fork(lambda: run_thread(world, thread, outcome, last=True), folder).wait()
    _note_failure(result, ended, folder)
    if outcome.exists():
        result.problems += differences(json.loads(outcome.read_text()), oracle)
    result.problems += [f"left behind: {line}" for line in leaks(world.home, before)]
    result.seconds = time.monotonic() - started
    if not result.problems:
        shutil.rmtree(folder)
    return result


Run = Callable[[Any], Ended]


def _forked(world: World, thread: str, folder: Path) -> Run:
    def work() -> None:
        run_thread(world, thread, folder / "outcome")

    return lambda blow: fork(work, folder, blow).wait()


def _fresh(world: World, thread: str, folder: Path) -> Run:
    """The command line in an interpreter of its own."""
    known = Ledger(world.home / "ledger.db")
    start = ["fix", str(world.source), "--thread", thread]
    words = ["resume", thread] if known.thread(thread) else start
    known.close()
    argv = [*words, "--json"]
    return lambda blow: spawn(argv, world.environment, folder, blow).wait()


def _note_failure(result: Result, ended: Ended, folder: Path) -> None:
    if ended.hung:
        result.problems.append(f"no end: hangs at {ended.place}")
    elif ended.code:
        log = (folder / "log").read_text(errors="replace").strip().splitlines()
        result.problems.append(f"exit code {ended.code} at {ended.place}: {' | '.join(log[-3:])}")


def differences(outcome: dict[str, Any], oracle: dict[str, Any]) -> list[str]:
    """How an outcome differs from the one that nothing disturbed."""
    problems = [
        f"{name} is {str(outcome[name])[:600]!r}, not {str(oracle[name])[:600]!r}"
        for name in COMPARED
        if outcome[name] != oracle[name]
    ]
    for number in range(1, EFFECTS + 1):
        times = outcome["patch"].count(f"+effect {number}\n")
        if times != 1:
            problems.append(f"effect {number} is in the patch {times} times")
    return problems
