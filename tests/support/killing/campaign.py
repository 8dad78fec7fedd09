"""A campaign: workers with a home and a server each, and the sum of what they found."""

import json
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from leftovers import take_at_rest
from samples import write_files

from killing.attempts import carry_out, differences
from killing.children import die_with_parent, fork
from killing.job import World, forget_thread, run_thread, write
from killing.pairs import race_all
from killing.plan import Attempt, Step
from killing.points import watch
from killing.scenarios import Scenario
from killing.trace import Place
from sentient_desktop import ensure_server, stop_server
from sentient_desktop.store.trees import remove_tree

Planner = Callable[[list[Step]], list[Attempt]]


@dataclass(frozen=True)
class Order:
    """What a campaign has to do."""

    folder: Path
    workers: int
    model_url: str
    planner: Planner
    scenario: Scenario
    options: dict[str, Any]
    """Settings of each worker; a text's `{worker}` is its number."""
    pairs: int = 0


@dataclass
class Summary:
    """What a campaign says."""

    threads: int = 0
    kills: int = 0
    after_effect: int = 0
    missed: int = 0
    server_kills: int = 0
    both: int = 0
    fresh: int = 0
    seconds: float = 0.0
    run_s: float = 0.0
    """How long a run takes that nothing disturbs."""
    phases: dict[str, int] = field(default_factory=dict)
    points: dict[str, int] = field(default_factory=dict)
    pairs: int = 0
    pair_kinds: dict[str, int] = field(default_factory=dict)
    failures: list[dict[str, Any]] = field(default_factory=list)


def run_campaign(order: Order) -> Summary:
    """Carry out the planned attempts, shared among the workers; blocks until the end."""
    if threading.active_count() != 1:
        raise RuntimeError("forking a process with threads")
    started = time.monotonic()
    pids = [_fork_worker(order, number) for number in range(order.workers)]
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    summary = _summed(order)
    summary.seconds = time.monotonic() - started
    summary.failures += [{"worker": n, "code": code} for n, code in enumerate(codes) if code]
    return summary


def _fork_worker(order: Order, number: int) -> int:
    sys.stdout.flush()
    if pid := os.fork():
        return pid
    code = 1
    try:
        die_with_parent()
        _work(order, number)
        code = 0
    except BaseException as error:  # noqa: BLE001 -- a worker must not return into its parent
        sys.stderr.write(f"worker {number}: {error!r}\n")
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _work(order: Order, number: int) -> None:
    """The whole life of a worker: its server, the oracle, its share of attempts and pairs."""
    place = order.folder / f"worker-{number}"
    place.mkdir()
    home = place / "home"
    (home / "tmp").mkdir(parents=True)
    os.environ["TMPDIR"] = str(home / "tmp")
    tempfile.tempdir = None
    options = {
        name: value.format(worker=number) if isinstance(value, str) else value
        for name, value in order.options.items()
    }
    source = write_files(place / "calculator", order.scenario.files)
    world = World(home, source, order.model_url, order.scenario, options)
    ensure_server(home / "desktop")
    try:
        oracle, steps = find_oracle(world, place)
        with (place / "results").open("w", buffering=1) as results:
            results.write(json.dumps({"run_s": steps[-1].at_s}) + "\n")
            before = take_at_rest(home)
            for attempt in order.planner(steps):
                if attempt.number % order.workers == number:
                    folder = place / f"attempt-{attempt.number}"
                    result = carry_out(world, attempt, oracle, before, folder)
                    results.write(json.dumps(asdict(result)) + "\n")
                    if result.problems:
                        before = take_at_rest(home)  # each leak is reported once
            mine = list(range(number, order.pairs, order.workers))
            pairs = race_all(world, place / "pairs", mine, oracle["patch"])
            results.write(json.dumps({"pairs": asdict(pairs)}) + "\n")
    finally:
        stop_server(home / "desktop")
    remove_tree(home)


def find_oracle(world: World, folder: Path) -> tuple[dict[str, Any], list[Step]]:
    """Run twice without a kill, the first to warm up; return outcome and points of the second."""
    outcome, log = folder / "oracle", folder / "points"

    def work(thread: str) -> None:
        run_thread(world, thread, outcome)
        start = watch.log[0][0]
        write(log, [(at - start, place.node, place.stage, place.point) for at, place in watch.log])
        forget_thread(world, thread)  # last, so that its points are none of the run's

    found = []
    for thread in ("warm-up", "oracle"):
        ended = fork(partial(work, thread), folder).wait()
        if ended.code:
            raise RuntimeError(f"an undisturbed run fails: {(folder / 'log').read_text()[-800:]}")
        found.append(json.loads(outcome.read_text()))
    if problems := differences(found[0], found[1]):
        raise RuntimeError(f"two undisturbed runs differ: {problems}")
    steps = [Step(at, Place(*place)) for at, *place in json.loads(log.read_text())]
    return found[1], steps


def _summed(order: Order) -> Summary:
    summary = Summary()
    phases: Counter[str] = Counter()
    points: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    for number in range(order.workers):
        path = order.folder / f"worker-{number}/results"
        lines = path.read_text().splitlines() if path.exists() else []
        for line in lines:
            result = json.loads(line)
            if "run_s" in result:
                summary.run_s = max(summary.run_s, result["run_s"])
            elif "pairs" in result:
                summary.pairs += result["pairs"]["count"]
                kinds.update(result["pairs"]["kinds"])
                summary.failures += [{"pair": text} for text in result["pairs"]["problems"]]
            else:
                _add(summary, result, phases, points)
    summary.phases, summary.points, summary.pair_kinds = dict(phases), dict(points), dict(kinds)
    return summary


def _add(
    summary: Summary, result: dict[str, Any], phases: Counter[str], points: Counter[str]
) -> None:
    """Count one attempt."""
    summary.threads += 1
    summary.fresh += result["fresh"]
    summary.missed += result["missed"]
    summary.server_kills += result["server_kills"]
    summary.both += result["both"]
    for kill in result["kills"]:
        summary.kills += 1
        summary.after_effect += kill["after_effect"]
        phases[f"{kill['node']}.{kill['stage']}"] += 1
        points[f"{kill['node']}.{kill['stage']}.{kill['point']}"] += 1
    if result["problems"]:
        summary.failures.append(result)
