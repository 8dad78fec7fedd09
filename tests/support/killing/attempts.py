"""One attempt: a thread killed as planned, resumed until it ends, and looked at from outside."""

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

from leftovers import Leftovers, leaks

from checkpoints.ledger import Ledger
from killing.children import NO_BLOW, Child, Ended, fork, spawn
from killing.job import World, run_thread
from killing.plan import Attempt
from sentient_desktop.state import read_start_time, read_state
from tools.errors import ExitCode

COMPARED = (
    "kind", "status", "patch", "report", "conversation", "outcomes", "desktops", "unpaid",
    "environment",
)  # fmt: skip


@dataclass
class Result:
    """What became of an attempt; without problems it is a success."""

    number: int
    fresh: bool
    kills: list[dict[str, Any]] = field(default_factory=list)
    """Where each kill hit: node, stage, point, and whether an effect had begun before."""
    missed: int = 0
    """Blows that came after the end."""
    server_kills: int = 0
    both: int = 0
    """Processes that were killed, and their server within the same one's life or just after."""
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0


def carry_out(
    world: World, attempt: Attempt, oracle: dict[str, Any], before: Leftovers, folder: Path
) -> Result:
    """Kill and resume one thread; compare its outcome with the oracle's, and count what is left."""
    started = time.monotonic()
    folder.mkdir()
    thread = f"attempt-{attempt.number}"
    result = Result(attempt.number, attempt.fresh)
    begun = False
    for blow, delay in zip_longest(attempt.blows, attempt.servers):
        run = _fresh(world, thread, folder) if attempt.fresh else _forked(world, thread, folder)
        ended, shot = _ended(run(blow), world.home / "desktop", delay)
        begun = begun or ended.effects > 0
        result.server_kills += shot
        result.both += shot and ended.killed
        if ended.killed:
            result.kills.append({**asdict(ended.place), "after_effect": begun})
            continue
        result.missed += 1
        if not (shot and ended.code == ExitCode.ENVIRONMENT):  # it says that its server is gone
            _note_failure(result, ended, folder)
    if attempt.fresh:
        _note_failure(result, _fresh(world, thread, folder)(NO_BLOW).wait(), folder)
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


Run = Callable[[Any], Child]


def _ended(child: Child, data_dir: Path, delay_s: float | None) -> tuple[Ended, bool]:
    """Wait for the child; SIGKILL the server after so long, or not at all; whether that hit it."""
    if delay_s is None:
        return child.wait(), False
    hit = [False]

    def shoot() -> None:
        time.sleep(delay_s)
        state = read_state(data_dir)
        hit[0] = "pid" in state and read_start_time(state["pid"]) == state["start_time"]
        if hit[0]:
            os.kill(state["pid"], signal.SIGKILL)

    killer = threading.Thread(target=shoot)  # ended before this process forks again
    killer.start()
    ended = child.wait()
    killer.join()
    return ended, hit[0]


def _forked(world: World, thread: str, folder: Path) -> Run:
    def work() -> None:
        run_thread(world, thread, folder / "outcome")

    return lambda blow: fork(work, folder, blow)


def _fresh(world: World, thread: str, folder: Path) -> Run:
    """The command line in an interpreter of its own."""
    known = Ledger(world.home / "ledger.db")
    start = ["fix", str(world.source), "--thread", thread]
    words = ["resume", thread] if known.thread(thread) else start
    known.close()
    argv = [*words, "--json"]
    return lambda blow: spawn(argv, world.environment, folder, blow)


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
    for number in range(1, oracle["effects"] + 1):
        times = outcome["patch"].count(f"+effect {number}\n")
        if times != 1:
            problems.append(f"effect {number} is in the patch {times} times")
    return problems
