"""The whole graph with a hostile model: every run ends, within its budgets, and leaves nothing.

    HOSTILE_RUNS=500 HOSTILE_SEED=7 HOSTILE_FIRST=0 pytest -s tests/graph/test_hostile_model.py

A run is told by its seed and number; what it comes to also depends on time, as its bounds do.
"""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from homes import own_home
from hostile_model import FILES, Hostile, hostile_model
from leftovers import leaks, take_at_rest
from samples import Repo

from checkpoints.ledger_file import LedgerFile
from nodes.events import parse_event
from nodes.state import Input
from sentient.cleanup.forgetting import forget
from sentient.endings import Ending
from sentient.runs import Runs
from sentient_desktop import ensure_server
from tools.errors import ModelError, UsageError
from tools.settings import Settings

RUNS = int(os.environ.get("HOSTILE_RUNS") or 2)
SEED = int(os.environ.get("HOSTILE_SEED") or 1)
FIRST = int(os.environ.get("HOSTILE_FIRST") or 0)
SIDE_BY_SIDE = 4

LONGEST_S = 600
"""A run that takes longer counts as one that does not end."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, _own_configuration: None) -> Iterator[Path]:
    """A home of its own: what is in it is counted."""
    with own_home(tmp_path_factory, "hostile") as folder:
        ensure_server(folder / "desktop")
        yield folder


def given_to(run: str, source: Path) -> Input:
    """The bounds of a run; some have none but those on attempts and steps."""
    random = Random(f"{SEED}/{run}/bounds")
    given = Input(source=str(source), max_attempts=random.choice([1, 1, 2]))
    if random.random() < 0.2:
        given["max_seconds"] = random.choice([1.0, 30.0, 60.0])
    if random.random() < 0.6:
        given["max_tokens"] = random.choice([300, 9000, 20_000, 40_000])
    if random.random() < 0.4:
        given |= {"max_usd": random.choice([0.001, 0.02, 0.05]), "price_in": 1.0, "price_out": 2.0}
    if random.random() < 0.2:
        given["role_bounds"] = {random.choice(["planner", "coder", "reviewer"]): {"tokens": 9000}}
    if random.random() < 0.25:
        given["candidates"] = random.choice([2, 3])
    return given


class Trial:
    """One run and what is wrong with how it went."""

    def __init__(self, settings: Settings, hostile: Hostile, run: str, given: Input) -> None:
        self.runs, self.hostile, self.run, self.given = Runs(settings), hostile, run, given
        self.problems: list[str] = []
        self.waits, self.outcome = 0, ""

    def listen(self, event: dict[str, Any]) -> None:
        if event["event"] not in {"accepted", "draining"}:
            parse_event(event)
        self.waits += event["event"] == "waiting"

    async def carry_out(self) -> None:
        begun = time.monotonic()
        try:
            async with asyncio.timeout(LONGEST_S):
                await self._carry_out()
        except TimeoutError:
            self.problems.append("did not end")
        except Exception as error:  # noqa: BLE001 -- what is not of our tree is looked for
            self.problems.append(f"{type(error).__name__}: {str(error)[:300]}")
        self.seconds = time.monotonic() - begun

    async def _carry_out(self) -> None:
        try:
            ending = await self.runs.start(self.given, self.run, self.listen)
        except (ModelError, UsageError) as error:
            failure = type(error).__name__
            if isinstance(error, UsageError) and "counts no tokens" not in str(error):
                raise
        else:
            self._look_at(ending)
            return
        if self.runs.ledger.thread(self.run):
            await self._resume()
        self.outcome = f"{failure}, then {self.outcome}" if self.outcome else failure

    async def _resume(self) -> None:
        """What was saved is enough: with a model that is honest and able the run ends."""
        self.hostile.calm.add(self.run)
        patient = {"model_timeout_s": 120.0, "model_patience_s": 120.0}
        runs = Runs(self.runs.settings.model_copy(update=patient))
        self._look_at(await runs.resume(self.run, self.listen))

    def _look_at(self, ending: Ending) -> None:
        if ending.kind != "finished":
            self.problems.append(f"is {ending.kind}")
            return
        report, state = ending.state["report"], ending.state
        self.outcome = f"{report['status']} {report['budget']}".strip()
        patch = self.runs.ledger.patch(report["patch"]) or ""
        if report["status"] == "verified" and "+    return a + b\n" not in patch:
            self.problems.append(f"verified without the right fix: {patch[:300]}")
        if not report["summary"]:
            self.problems.append("a report without words")
        if report["attempts"] > self.given["max_attempts"]:
            self.problems.append(f"{report['attempts']} attempts")
        if len(repr(state)) > 3_000_000:
            self.problems.append(f"a state of {len(repr(state))} characters")
        self._count()

    def _count(self) -> None:
        """No call was made after a bound was reached; one call of each coder may exceed it."""
        ledger = LedgerFile(self.runs.settings.home / "ledger.db")
        rows = ledger.rows("select * from costs where thread = ? order by rowid", [self.run])
        ledger.close()
        last = {row["candidate"]: row["id"] for row in rows}
        rows = [row for row in rows[:-1] if row["id"] not in last.values() or not row["candidate"]]
        tokens = sum((r["input_tokens"] or 0) + (r["output_tokens"] or 0) for r in rows)
        if tokens >= (self.given.get("max_tokens") or 10**18):
            self.problems.append(f"{tokens} tokens before the last call")
        usd = sum(row["usd"] or 0 for row in rows)
        if usd >= (self.given.get("max_usd") or 10**9):
            self.problems.append(f"${usd} before the last call")


@pytest.mark.timeout(7200)
async def test_hostile_model_every_run_ends_within_its_bounds_and_leaves_nothing(
    home: Path, repo: Repo
) -> None:
    hostile, source = Hostile(SEED), repo(FILES)
    before = take_at_rest(home)
    gate = asyncio.Semaphore(SIDE_BY_SIDE)
    with hostile_model(hostile) as address:

        async def one(number: int) -> Trial:
            run = f"run-{number}"
            settings = Settings(
                home=home,
                model="hostile",
                openai_base_url=f"{address}/{run}/v1",
                model_timeout_s=3.0,
                model_patience_s=Random(f"{SEED}/{run}").choice([0.2, 2.0]),
            )
            trial = Trial(settings, hostile, run, given_to(run, source))
            async with gate:
                await trial.carry_out()
                if trial.runs.ledger.thread(run):
                    await forget(settings, trial.runs.ledger, run)
            if trial.problems:
                print(f"seed {SEED} {run}: {trial.problems}", flush=True)  # noqa: T201
            return trial

        trials = await asyncio.gather(*(one(number) for number in range(FIRST, FIRST + RUNS)))
    tell(trials, sum(hostile.requests.values()))
    assert [f"{trial.run}: {trial.problems}" for trial in trials if trial.problems] == []
    assert leaks(home, before) == []


def tell(trials: list[Trial], requests: int) -> None:
    fine = sum(not trial.problems for trial in trials)
    longest = max(trial.seconds for trial in trials)
    waits = sum(trial.waits for trial in trials)
    print(  # noqa: T201
        f"seed {SEED}: {fine}/{len(trials)} runs, {requests} requests, {waits} waits, "
        f"longest {longest:.0f} s"
    )
    for outcome, count in Counter(trial.outcome for trial in trials).most_common():
        print(f"{count:5} {outcome}")  # noqa: T201
