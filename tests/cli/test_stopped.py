"""Signals at commands that have no run: they end with the right code and leave no desktop."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from samples import CALCULATOR, Run, write_files

from checkpoints.lease import recorded_threads
from checkpoints.ledger import Ledger
from nodes.desktops import ThreadDesktops
from nodes.home_desktops import HomeDesktops
from sentient.past.compare import READER
from sentient.runs import Runs
from sentient_desktop import ensure_server, stop_server
from tools.connection import Connection
from tools.settings import Settings


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, _own_configuration: None) -> Iterator[Path]:
    """A home of its own: nobody else's desktops are in it."""
    folder = tmp_path_factory.mktemp("home-stopped")
    ensure_server(folder / "desktop")
    yield folder
    stop_server(folder / "desktop")


def desktops(home: Path) -> set[tuple[str, str]]:
    """Owner and role of every desktop there is."""
    server = HomeDesktops(Connection(Settings(home=home)), home)
    return {(found.thread, found.role) for found in asyncio.run(server.desktops())}


def prune(sentient: Run) -> dict[str, Any]:
    done = sentient("prune", "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


WAITING = """
import asyncio, importlib, sys
from sentient.cli import main
module, name = sys.argv[1].split(":")
*outer, name = name.split(".")
place = importlib.import_module(module)
for part in outer:
    place = getattr(place, part)

async def wait(*_, **__):
    sys.stderr.write("waiting\\n")
    await asyncio.sleep(600)

setattr(place, name, wait)
sys.argv[1:] = sys.argv[2:]
main()
"""
"""The command, with one of its functions replaced by waiting: MODULE:NAME ARGUMENTS..."""
Waits = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def waiting(home: Path) -> Iterator[Waits]:
    """Starts a command and returns when it waits in the function."""
    started: list[subprocess.Popen[str]] = []

    def begin(function: str, *arguments: str) -> "subprocess.Popen[str]":
        hearing = ["env", "--default-signal=INT"]  # a suite in the background ignores it
        process = subprocess.Popen(
            [*hearing, sys.executable, "-c", WAITING, function, *arguments],
            env={**os.environ, "SENTIENT_HOME": str(home)},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        started.append(process)
        assert process.stderr is not None
        assert process.stderr.readline() == "waiting\n"
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def ended(home: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A thread that came to its end."""
    source = write_files(tmp_path_factory.mktemp("ended") / "calculator", CALCULATOR)
    runs = Runs(Settings(home=home, model="none"))
    asyncio.run(runs.start({"source": str(source)}, "ended", lambda _: None))
    runs.ledger.close()
    return "ended"


LISTING = ("sentient.commands.desktop:_ids", ["desktop", "list"])
OTHERS = [
    ("sentient.past.compare:make_patch", ["diff", "ended", "--at", "latest"]),
    ("sentient.commands.past:read_timeline", ["history", "ended"]),
    LISTING,
]
"""Where `make crash` stops commands too."""


@pytest.mark.parametrize(
    ("number", "function", "command"),
    [
        (signal.SIGINT, *LISTING),
        (signal.SIGTERM, "sentient.cleanup.housekeeping:Housekeeping.sweep", ["prune"]),
        *(pytest.param(signal.SIGTERM, *waiting, marks=pytest.mark.long) for waiting in OTHERS),
    ],
)
def test_signal_in_a_command_without_a_run_ends_it_and_leaves_nothing(
    home: Path, request: pytest.FixtureRequest, waiting: Waits, number: int, function: str,
    command: list[str],
) -> None:  # fmt: skip
    if "ended" in command:
        request.getfixturevalue("ended")
    before = recorded_threads(Settings(home=home).leases)
    process = waiting(function, *command)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (128 + number, "")
    assert err == f"sentient: stopped at once by {signal.Signals(number).name}\n"
    assert desktops(home) == set()
    assert recorded_threads(Settings(home=home).leases) == before


@pytest.mark.long
def test_reader_lives_beside_its_thread_and_goes_when_it_was_killed(
    sentient: Run, home: Path, ended: str, waiting: Waits
) -> None:
    process = waiting("sentient.past.compare:make_patch", "diff", ended, "--at", "latest")
    [(owner, role)] = desktops(home)
    assert (owner != ended, role) == (True, READER)
    settings, ledger = Settings(home=home), Ledger(home / "ledger.db")
    own = ThreadDesktops(Connection(settings), 60, home, ledger.inventory)
    asyncio.run(own.kill_all(ended))  # as the end of a run does
    ledger.close()
    done = prune(sentient)
    assert (done["desktops"], done["busy"]) == ([], [owner])
    assert desktops(home) == {(owner, READER)}
    process.kill()
    process.wait()
    assert len(prune(sentient)["desktops"]) == 1
    assert desktops(home) == set()
    assert owner not in recorded_threads(settings.leases)
