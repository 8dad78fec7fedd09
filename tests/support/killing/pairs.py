"""Two resumes of one interrupted thread at once: exactly one runs, the other is told: busy.

An interrupted thread is made once and copied with its checkpoints; each pair gets a copy. Both
processes are ready before either starts. Whoever enters a node first waits there until the other
one has been told no, or is stopped by a signal, so that no pair passes because one came late.
"""

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from checkpoints.lease import ThreadBusyError
from checkpoints.sqlite import open_saver
from killing.children import Child, fork, spawn
from killing.job import World, write
from killing.points import watch
from sentient.opening import config_of, open_graph
from sentient.runs import Runs
from tools.errors import ExitCode

PATIENCE_S = 20.0
"""How long the one that runs waits for the other one's answer."""


@dataclass
class Pairs:
    """What pairs came to."""

    count: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def interrupted(world: World, folder: Path, thread: str, place: str) -> None:
    """Run a thread until it is killed at its first point `node.entered` of `place`."""

    def work() -> None:
        watch.at_entry = lambda node: node == place and os.kill(os.getpid(), signal.SIGKILL)
        given: Any = {"source": str(world.source)}
        asyncio.run(Runs(world.settings).start(given, thread, lambda _: None))

    ended = fork(work, folder).wait()
    if not ended.killed:
        raise RuntimeError(f"{thread}: {ended}: {(folder / 'log').read_text()[-500:]}")


def copies(world: World, folder: Path, source: str, names: list[str]) -> None:
    """Copy a thread under each of the names, with its checkpoints and its line in the ledger."""

    async def copy() -> None:
        ledger = Runs(world.settings).ledger
        async with open_saver(world.home / "checkpoints.db") as saver:
            for name in names:
                await saver.acopy_thread(source, name)
                ledger.save_thread(name, source=str(world.source), status="running")

    ended = fork(lambda: asyncio.run(copy()), folder).wait()
    if ended.code:
        raise RuntimeError(f"copying fails: {(folder / 'log').read_text()[-500:]}")


class Rivals:
    """Two forked children that resume a thread from one start, and the files they meet at."""

    def __init__(self, world: World, folder: Path, thread: str) -> None:
        self.world, self.folder, self.thread = world, folder, thread
        folder.mkdir()

    def race(self) -> list[dict[str, Any]]:
        """Let both go at the same moment; return what each says."""
        gate, opening = os.pipe()
        children = [self._start(number, gate, opening) for number in (0, 1)]
        os.close(gate)
        while not all((self.folder / f"ready-{number}").exists() for number in (0, 1)):
            time.sleep(0.001)
        os.close(opening)
        return [self._end(number, child) for number, child in enumerate(children)]

    def _start(self, number: int, gate: int, opening: int) -> Child:
        place = self.folder / str(number)
        place.mkdir()

        def work() -> None:
            os.close(opening)
            watch.at_entry = lambda _: _wait_for(self.folder / f"told-{1 - number}")
            (self.folder / f"ready-{number}").touch()
            os.read(gate, 1)  # ends when the parent closes its side: for both at once
            write(place / "said", self.resume(number))

        return fork(work, place)

    def resume(self, number: int) -> dict[str, Any]:
        """Resume; say how it went. A refusal is made known to the rival."""
        told = self.folder / f"told-{number}"
        return asyncio.run(resume(self.world, self.thread, told.touch))

    def _end(self, number: int, child: Child) -> dict[str, Any]:
        ended = child.wait()
        place = self.folder / str(number)
        if ended.code:
            return {"kind": f"failed: {ended} {(place / 'log').read_text()[-600:]}"}
        return dict(json.loads((place / "said").read_text()))


async def resume(world: World, thread: str, refused: Callable[[], None]) -> dict[str, Any]:
    """Resume a thread: `finished`, or `busy` and `refused` is called; with the nodes entered."""
    runs = Runs(world.settings)
    try:
        ending = await runs.resume(thread, lambda _: None)
    except ThreadBusyError as error:
        refused()
        return {"kind": "busy", "said": str(error), "entered": watch.entered}
    patch = runs.ledger.patch(ending.state["report"]["patch"]) or ""
    return {"kind": ending.kind, "patch": patch, "entered": watch.entered}


def _wait_for(path: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not path.exists():
        if time.monotonic() > deadline:
            raise TimeoutError("the other one was neither refused nor running")
        time.sleep(0.002)


def judge(said: list[dict[str, Any]], patch: str) -> list[str]:
    """What is wrong with a pair: one has to have finished, with this patch, one to be busy."""
    kinds = sorted(item["kind"] for item in said)
    if kinds not in (["busy", "finished"], ["finished", "late"]):
        return [f"not one winner and one refusal: {said}"]
    problems = []
    for item in said:
        if item["kind"] == "busy" and ("THREAD_BUSY" not in item["said"] or item["entered"]):
            problems.append(f"the refusal: {item}")
        if item["kind"] != "busy" and item["patch"] != patch:
            problems.append(f"another patch: {item['patch']}")
    return problems


def race_in_process(world: World, folder: Path, thread: str) -> list[dict[str, Any]]:
    """Two tasks of one event loop resume the same thread through the graph itself."""
    folder.mkdir()

    async def both() -> list[dict[str, Any]]:
        refused = asyncio.Event()

        async def one() -> dict[str, Any]:
            try:
                state = await graph.ainvoke(None, config_of(thread))
            except ThreadBusyError as error:
                refused.set()
                return {"kind": "busy", "said": str(error), "entered": []}
            patch = Runs(world.settings).ledger.patch(state["report"]["patch"]) or ""
            return {"kind": "finished", "patch": patch, "entered": watch.entered}

        async with open_graph(world.settings) as graph:
            return list(await asyncio.gather(one(), one()))

    ended = fork(lambda: write(folder / "said", asyncio.run(both())), folder).wait()
    if ended.code:
        return [{"kind": f"failed: {(folder / 'log').read_text()[-600:]}"}]
    return list(json.loads((folder / "said").read_text()))


def race_frozen(world: World, folder: Path, thread: str, *, dies: bool) -> list[dict[str, Any]]:
    """A holder is stopped by SIGSTOP in a node; a second resume is refused as long as it lives."""
    folder.mkdir()
    (folder / "holder").mkdir()
    (folder / "second").mkdir()

    def hold() -> None:
        watch.at_entry = lambda _: len(watch.entered) == 1 and os.kill(os.getpid(), signal.SIGSTOP)
        write(folder / "holder/said", asyncio.run(resume(world, thread, lambda: None)))

    def second() -> None:
        write(folder / "second/said", asyncio.run(resume(world, thread, lambda: None)))

    holder = fork(hold, folder / "holder")
    os.waitpid(holder.pid, os.WUNTRACED)
    fork(second, folder / "second").wait()
    said = [json.loads((folder / "second/said").read_text())]
    if dies:
        holder.kill()
        holder.wait()
        fork(second, folder / "second").wait()
        return [*said, json.loads((folder / "second/said").read_text())]
    os.kill(holder.pid, signal.SIGCONT)
    holder.wait()
    return [*said, json.loads((folder / "holder/said").read_text())]


def race_commands(world: World, folder: Path, thread: str) -> list[dict[str, Any]]:
    """Two commands in fresh interpreters; one that comes when all is done finds it finished."""
    folder.mkdir()
    places = [folder / "0", folder / "1"]
    for place in places:
        place.mkdir()
    argv = ["resume", thread, "--json"]
    children = [spawn(argv, world.environment, place) for place in places]
    said = []
    for child, place in zip(children, places, strict=True):
        ended = child.wait()
        log = (place / "log").read_text()
        if ended.code == ExitCode.ENVIRONMENT and "THREAD_BUSY" in log:
            kind, patch = "busy", ""
        elif ended.code == 0:
            kind = "finished" if ended.place.node == "deliver" else "late"
            patch = json.loads((place / "out").read_text())["patch"]
        else:
            kind, patch = f"failed: {ended} {log[-500:]}", ""
        said.append({"kind": kind, "patch": patch, "said": log, "entered": []})
    return said


Race = Callable[[World, Path, str], list[dict[str, Any]]]


def kind_of(number: int) -> tuple[str, str, Race]:
    """How the pair of this number is made: its name, where its thread was interrupted, the race."""
    if number % 50 == 1:
        return "commands", "act", race_commands
    if number % 20 == 3:
        return "frozen holder", "deliver", partial(race_frozen, dies=False)
    if number % 20 == 13:
        return "frozen holder that dies", "deliver", partial(race_frozen, dies=True)
    if number % 10 == 5:
        return "tasks of one process", "deliver", race_in_process
    place = "act" if number % 10 == 0 else "deliver"
    return f"processes at {place}", place, lambda *given: Rivals(*given).race()


def race_all(world: World, folder: Path, numbers: list[int], patch: str) -> Pairs:
    """Make the interrupted threads, race every pair, judge it."""
    folder.mkdir()
    pairs = Pairs()
    for place in ("act", "deliver"):
        mine = [f"pair-{number}" for number in numbers if kind_of(number)[1] == place]
        if mine:
            interrupted(world, folder, f"interrupted-at-{place}", place)
            copies(world, folder, f"interrupted-at-{place}", mine)
    for number in numbers:
        name, _, race = kind_of(number)
        said = race(world, folder / str(number), f"pair-{number}")
        problems = [f"pair {number}, {name}: {problem}" for problem in judge(said, patch)]
        pairs.count += 1
        pairs.kinds[name] = pairs.kinds.get(name, 0) + 1
        pairs.problems += problems
    return pairs
