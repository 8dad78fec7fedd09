"""Where the output goes: pipes that nobody reads any more, and encodings that lack characters."""

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from samples import CALCULATOR, write_files

from nodes.state import Input
from sentient.runs import Runs
from sentient.streams import READER_GONE
from tools.settings import Settings

COMMANDS = [
    (["threads"], "buffered"),
    (["threads", "--json"], "unbuffered"),
    (["history", "printed"], "unbuffered"),
    (["history", "printed", "--json"], "buffered"),
    (["logs", "printed"], "buffered"),
    (["diff", "printed"], "buffered"),
    (["diff", "printed", "--json"], "unbuffered"),
    (["show", "printed"], "unbuffered"),
    (["prune", "--dry-run"], "buffered"),
    (["desktop", "env"], "buffered"),
    (["--help"], "unbuffered"),
]

UNREAD = """
import json, os, sys
from sentient.cli import main
from sentient.commands import desktop, past, run, show, work  # once: it takes seconds

read, write = os.pipe()
os.close(read)
ends = []
for command, kind in json.loads(sys.argv[1]):
    if not (child := os.fork()):
        os.dup2(write, 1)
        sys.stdout = open(1, "w", closefd=False)
        sys.stdout.reconfigure(write_through=kind == "unbuffered")
        sys.argv = ["sentient", *command]
        main()
    ends.append([command, kind, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])])
print(json.dumps(ends))
"""
"""Runs each command in a process of its own, whose stdout is a pipe without a reader."""


@pytest.fixture(scope="module")
def thread(home: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A finished thread, `printed`, in the shared home."""
    source = write_files(tmp_path_factory.mktemp("printed") / "calculator", CALCULATOR)
    given: Input = {"source": str(source)}
    runs = Runs(Settings(home=home, model="none"))
    ending = asyncio.run(runs.start(given, "printed", lambda _: None))
    assert ending.kind == "finished"


@pytest.mark.parametrize("count", [1, pytest.param(len(COMMANDS), marks=pytest.mark.long)])
def test_output_that_nobody_reads_ends_every_command_with_141(
    home: Path, thread: None, tmp_path: Path, count: int
) -> None:
    (tmp_path / "endless.py").write_text("while True:\n    print('more', flush=True)\n")
    endless = (["run", "python", str(tmp_path / "endless.py")], "buffered")
    commands = [*COMMANDS[:count], endless]
    done = subprocess.run(
        [sys.executable, "-c", UNREAD, json.dumps(commands)],
        env={**os.environ, "SENTIENT_HOME": str(home)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    ends = json.loads(done.stdout)
    assert ends == [[*command, READER_GONE] for command in commands]
    assert done.stderr == ""


@pytest.mark.long
def test_output_patch_that_is_not_utf8_is_shown_on_a_strict_stdout(
    home: Path, thread: None
) -> None:
    with closing(sqlite3.connect(home / "ledger.db")) as ledger, ledger:
        [(patch,)] = ledger.execute(
            "select patch from verdicts where thread = 'printed' and passed"
        ).fetchall()
        [(data,)] = ledger.execute("select data from patches where sha256 = ?", [patch]).fetchall()
        latin = data.replace(b"arithmetic", b"arithm\xe9tique")
        ledger.execute("update patches set data = ? where sha256 = ?", [latin, patch])
    done = subprocess.run(
        [sys.executable, "-c", "from sentient.cli import main; main()", "show", "printed"],
        env={**os.environ, "SENTIENT_HOME": str(home), "PYTHONIOENCODING": "utf-8:strict"},
        capture_output=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"arithm?tique" in done.stdout
