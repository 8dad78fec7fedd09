"""Every failure of a database is a typed error, nothing hangs, and the run can be resumed."""

import asyncio
import itertools
import json
import multiprocessing
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from faulty_sqlite import FAULTS, Plan, faults
from homes import own_home
from langchain_core.messages import HumanMessage
from samples import CALCULATOR, MAIN, ROOT, write_files
from scripted_model import Script, call, scripted_model
from talks import config, said, talk_graph

from checkpoints import sqlite
from checkpoints.ledger import Ledger
from graphs.faults import storage_errors
from sentient.cleanup.forgetting import forget
from sentient.runs import Runs
from sentient_desktop import ensure_server
from tools.errors import StorageError
from tools.settings import Settings

WATCHDOG_S = 30
SHARES = 2
"""Parts of the operations of a run, for as many processes; odd and even ones."""

GOOD = call("replace", path="calc.py", old="(len(values) + 1)", new="len(values)")
APPEND = call("shell", command="echo '# one line, once' >> calc.py")
CODER = [APPEND, GOOD, call("hand_in", summary="done")]


async def watched(work: Any, plan: Plan) -> Any:
    """Await the work; once its fault has happened, it has 30 seconds to end."""
    task = asyncio.ensure_future(work)
    while not task.done() and not plan.fired.is_set():
        await asyncio.wait([task], timeout=0.05)
    return await asyncio.wait_for(task, WATCHDOG_S if plan.fired.is_set() else None)


async def converse(path: Path, thread: str, lines: int) -> list[str]:
    """Say so many lines, from wherever the thread is."""
    with storage_errors():
        async with sqlite.open_saver(path) as saver:
            graph = talk_graph(saver)
            state = await graph.aget_state(config(thread))
            given = {"messages": [HumanMessage(str(lines))], "turns": 0}
            if not state.values or state.tasks:
                start = None if state.values else given
                await graph.ainvoke(start, config(thread), durability="sync")
            return await said(graph, thread)


@pytest.mark.parametrize("lasting", [False, True])
@pytest.mark.parametrize("kind", FAULTS)
async def test_saver_every_operation_fails_once_each_run_is_resumed(
    tmp_path: Path, kind: str, lasting: bool
) -> None:
    path, number, failed = tmp_path / "checkpoints.db", 0, 0
    while True:
        number += 1
        thread = f"{kind}-{number}"
        with faults(tmp_path, Plan(number, kind, lasting)) as plan:
            try:
                await watched(converse(path, thread, 3), plan)
            except StorageError as error:
                failed += bool(error.hint)
        lines = await converse(path, thread, 3)
        assert lines == ["3", "line 1", "line 2", "line 3"], (number, lines)
        if not plan.hits:
            break
    assert failed > 20
    assert number - 1 <= failed + 2  # all but what only asks whether a column is there


@pytest.mark.parametrize("lasting", [False, True])
def test_ledger_every_operation_fails_once_nothing_stays_locked(
    tmp_path: Path, lasting: bool
) -> None:
    """The same ledger goes on after a failure, and so does another process's."""
    number = 0
    while True:
        number += 1
        with faults(tmp_path, Plan(number, "full", lasting)) as plan:
            ledger = Ledger(tmp_path / "ledger.db")
            for _ in range(2):
                with suppress(sqlite3.OperationalError):
                    ledger.save_thread("ours", status="running", detail=str(number))
        plan.number, plan.lasting = 0, False
        other = Ledger(tmp_path / "ledger.db")
        other.save_thread("others", status="running", detail=str(number))
        ledger.save_thread("ours", status="stopped", detail=str(number))
        assert {row["detail"] for row in other.threads()} == {str(number)}
        ledger.close()
        other.close()
        if not plan.hits:
            break
    assert number > 10


@pytest.fixture(scope="module")
def model() -> Iterator[str]:
    with scripted_model(Script(coder=CODER)) as url:
        yield url


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, _own_configuration: None) -> Iterator[Path]:
    with own_home(tmp_path_factory, "faults") as folder:
        ensure_server(folder / "desktop")
        yield folder


@pytest.fixture
def settings(home: Path, model: str) -> Settings:
    return Settings(home=home, model="scripted", openai_base_url=model)


async def patched(settings: Settings, thread: str, source: Path) -> str:
    """Start a thread, or resume it, and return its patch."""
    runs = Runs(settings)
    try:
        if runs.ledger.thread(thread):
            ending = await runs.resume(thread, lambda _: None)
        else:
            ending = await runs.start({"source": str(source)}, thread, lambda _: None)
        assert ending.kind == "finished", ending
        assert ending.state["report"]["status"] == "verified", ending.state["report"]
        return runs.ledger.patch(ending.state["report"]["patch"]) or ""
    finally:
        runs.ledger.close()


async def fail_then_resume(settings: Settings, source: Path, plan: Plan) -> tuple[bool, str]:
    """Run with a fault, then without; returns whether it failed, and the patch."""
    thread, failed = f"fault-{plan.number}-{plan.kind[:2]}-{plan.lasting}", False
    with storage_errors():
        with faults(settings.home, plan):
            try:
                with storage_errors():
                    patch = await watched(patched(settings, thread, source), plan)
            except StorageError as error:
                failed = bool(error.hint)
        patch = await patched(settings, thread, source)
        runs = Runs(settings)
        await forget(settings, runs.ledger, thread)
        runs.ledger.close()
    return failed, patch


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_files(tmp_path / "calculator", CALCULATOR)


@pytest.mark.long
@pytest.mark.parametrize(
    ("number", "kind", "lasting"),
    [(60, "full", False), (95, "io error", True)],
)
async def test_run_with_one_fault_is_resumed_to_the_same_patch(
    settings: Settings, source: Path, number: int, kind: str, lasting: bool
) -> None:
    plan = Plan(number, kind, lasting)
    failed, patch = await fail_then_resume(settings, source, plan)
    assert plan.hits
    assert failed
    assert patch.count("+# one line, once") == 1


@pytest.mark.long
@pytest.mark.timeout(20_000)
@pytest.mark.parametrize("share", range(SHARES))
async def test_run_every_operation_fails_once_each_run_is_resumed_to_the_same_patch(
    settings: Settings, source: Path, capsys: pytest.CaptureFixture[str], share: int
) -> None:
    oracle = await patched(settings, f"oracle-{share}", source)
    kinds, failed, survived = list(FAULTS), 0, []
    for number in itertools.count(share + 1, SHARES):
        plan = Plan(number, kinds[number % 3], lasting=number % 2 == 1)
        raised, patch = await fail_then_resume(settings, source, plan)
        assert patch == oracle, plan
        if not plan.hits:
            break
        failed += raised
        survived += [] if raised else [number]
    with capsys.disabled():
        tried = failed + len(survived)
        sys.stderr.write(f"\nof operations {share + 1}, {share + 1 + SHARES}... to {number} ")
        sys.stderr.write(f"{failed}/{tried} fail a run; harmless: {survived}\n")
    assert failed >= 0.9 * tried


@pytest.mark.long
@pytest.mark.parametrize("channel", ["plan", "report"])
async def test_run_stopped_between_writes_and_their_checkpoint_is_not_finished(
    settings: Settings, source: Path, monkeypatch: pytest.MonkeyPatch, channel: str
) -> None:
    put, thread = sqlite.SqliteSaver.aput, f"between-{channel}"

    async def fails_after_its_node(self: Any, given: Any, checkpoint: Any, *more: Any) -> Any:
        if channel in checkpoint["channel_values"]:
            raise sqlite3.OperationalError("disk I/O error")
        return await put(self, given, checkpoint, *more)

    runs = Runs(settings)
    with monkeypatch.context() as patch:
        patch.setattr(sqlite.SqliteSaver, "aput", fails_after_its_node)
        with pytest.raises(StorageError, match="disk I/O error") as failed:
            await runs.start({"source": str(source)}, thread, lambda _: None)
    assert failed.value.thread == thread
    assert (await runs.look(thread)).kind == "stopped"
    assert (await patched(settings, thread, source)).count("+# one line, once") == 1
    assert runs.row(thread)["status"] == "verified"
    await forget(settings, runs.ledger, thread)
    runs.ledger.close()


def _hold(path: Path, ready: Any, done: Any) -> None:
    connection = sqlite3.connect(path)
    connection.execute("BEGIN IMMEDIATE")
    ready.set()
    done.wait(60)
    connection.rollback()
    connection.close()


@pytest.mark.long
@pytest.mark.parametrize("name", ["checkpoints.db", "ledger.db"])
async def test_run_database_held_by_another_process_is_a_typed_error_and_resumed(
    settings: Settings, source: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("checkpoints.sqlite.BUSY_TIMEOUT_MS", 300)
    monkeypatch.setattr("checkpoints.ledger_file.BUSY_TIMEOUT_S", 0.3)
    thread, context = f"held-{name[0]}", multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    holder = context.Process(target=_hold, args=(settings.home / name, ready, done))
    runs = Runs(settings)

    def hold_at_planner(event: dict[str, Any]) -> None:
        if event["node"] == "planner" and not ready.is_set():
            holder.start()
            ready.wait(60)

    with pytest.raises(StorageError, match=r"database is locked.*another process is writing"):
        await runs.start({"source": str(source)}, thread, hold_at_planner)
    done.set()
    holder.join()
    runs.ledger.close()
    assert (await patched(settings, thread, source)).count("+# one line, once") == 1
    await forget(settings, runs.ledger, thread)
    runs.ledger.close()


TINY = """
set -e
mount -t tmpfs -o size=16m tmpfs "$SENTIENT_HOME"
ln -s "$DESKTOP" "$SENTIENT_HOME/desktop"
free=$(df --output=avail -k "$SENTIENT_HOME" | tail -1)
head -c $(((free - ROOM) * 1024)) /dev/zero > "$SENTIENT_HOME/filler"
"$@" fix "$SOURCE" --thread tiny --json && echo never failed >&2 && exit 1
test -s "$SENTIENT_HOME/filler" && rm "$SENTIENT_HOME/filler"
if "$@" show tiny > /dev/null; then "$@" resume tiny --json
else "$@" fix "$SOURCE" --thread tiny --json; fi
"""
"""A run refused before its thread was written down is started again, any other one is resumed."""


@pytest.mark.long
@pytest.mark.parametrize("room", [0, 32, 64, 96, 128, 160, 200, 240, 280, 320])  # fmt: skip
def test_run_on_a_full_disk_is_a_typed_error_and_resumed_when_there_is_room(
    room: int, home: Path, model: str, source: Path, tmp_path: Path
) -> None:
    (tmp_path / "tiny").mkdir()
    env = {
        "SENTIENT_HOME": str(tmp_path / "tiny"), "DESKTOP": str(home / "desktop"),
        "SOURCE": str(source), "ROOM": str(room), "PYTHONPATH": str(ROOT),
        "OPENAI_BASE_URL": model, "SENTIENT_MODEL": "scripted",
    }  # fmt: skip
    done = subprocess.run(
        ["unshare", "-Urm", "bash", "-c", TINY, "tiny", *MAIN],
        env={**os.environ, **env}, capture_output=True, text=True, check=False, timeout=110,
    )  # fmt: skip
    if "unshare failed" in done.stderr:
        pytest.skip("this machine lets nobody make user namespaces")
    assert done.returncode == 0, done.stderr
    first, *_ = done.stderr.splitlines()
    assert first.startswith("sentient: "), done.stderr
    assert "make room on the disk" in first or "disk is full" in first, first
    patch = json.loads(done.stdout)["patch"]
    assert patch.count("+# one line, once") == 1
    assert "+    return sum(values) / len(values)\n" in patch
