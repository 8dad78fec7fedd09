"""Signals at a real command: it stops with its work saved, says how to go on, and goes on."""

import json
import os
import pty
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from samples import CALCULATOR, CALCULATOR_PATCH, MAIN, Repo, Run, write_files

from sentient.signals import ENDING
from sentient.streams import READER_GONE
from sentient_desktop import stop_server
from sentient_desktop.state import read_state

HEARING = ["env", "--default-signal=INT"]
"""Shells start what they put in the background, this suite perhaps, with SIGINT ignored."""
SLOW_TEST = "import time\n\n\ndef test_slow():\n    time.sleep({})\n"
PIPE = subprocess.PIPE
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(home: Path) -> Iterator[Start]:
    """Starts the command in a process group of its own, as a shell does."""
    started: list[subprocess.Popen[str]] = []

    def begin(
        *arguments: str,
        env: dict[str, str] | None = None,
        out: int = PIPE,
        err: int = PIPE,
        given: str = "",
    ) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [*HEARING, *MAIN, *arguments],
            env={**os.environ, "SENTIENT_HOME": str(home), **(env or {})},
            stdin=PIPE, stdout=out, stderr=err, text=True, start_new_session=True,
        )  # fmt: skip
        started.append(process)
        assert process.stdin is not None
        process.stdin.write(given)
        process.stdin.close()
        process.stdin = None
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def read_until(process: "subprocess.Popen[str]", words: str) -> str:
    assert process.stderr is not None
    seen = ""
    for line in process.stderr:
        seen += line
        if words in line:
            return seen
    raise AssertionError(f"{words!r} is not in {seen!r}")


def goes_on(sentient: Run, thread: str) -> None:
    shown = json.loads(sentient("show", thread, "--json").stdout)
    assert shown["status"] == "stopped"
    statuses = {
        row["id"]: row["status"] for row in json.loads(sentient("threads", "--json").stdout)
    }
    assert statuses[thread] == "stopped"
    resumed = sentient("resume", thread, "--json")
    assert resumed.returncode == 0, resumed.stderr
    assert json.loads(resumed.stdout)["patch"] == CALCULATOR_PATCH


def in_short(*numbers: signal.Signals) -> list[object]:
    """The first in `make test`, the others in `make crash`."""
    marks = [[], *([pytest.mark.long] for _ in numbers[1:])]
    return [pytest.param(one, marks=mark) for one, mark in zip(numbers, marks, strict=True)]


@pytest.mark.parametrize("number", in_short(signal.SIGINT, signal.SIGTERM))
def test_signal_in_a_step_ends_after_it_and_goes_on(
    start: Start, sentient: Run, repo: Repo, number: signal.Signals
) -> None:
    thread = f"drain-{number.name}"
    process = start("fix", str(repo()), "--thread", thread)
    read_until(process, "in the base")
    os.killpg(process.pid, number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert out == f"stopped; go on with: sentient resume {thread}\n"
    assert "stopping when this is done: " in err
    goes_on(sentient, thread)


@pytest.mark.long
def test_signal_twice_ends_a_long_step_at_once(start: Start, sentient: Run, repo: Repo) -> None:
    source = repo({**CALCULATOR, "test_slow.py": SLOW_TEST.format(20)})
    process = start("fix", str(source), "--thread", "twice-long")
    read_until(process, "planner")
    process.send_signal(signal.SIGTERM)
    assert "the tests as they are" in read_until(process, "stopping when this is done")
    process.send_signal(signal.SIGTERM)
    begun = time.monotonic()
    out, err = process.communicate(timeout=30)
    assert time.monotonic() - begun < 8
    assert (process.returncode, out) == (128 + signal.SIGTERM, "")
    line = "sentient: stopped at once by SIGTERM; go on with: sentient resume twice-long"
    assert err.splitlines()[-1] == line
    assert json.loads(sentient("show", "twice-long", "--json").stdout)["status"] == "stopped"


@pytest.mark.long
@pytest.mark.parametrize("words", ["thread    ", "in the base", "plan: "])
def test_signal_twice_in_a_moment_goes_on(
    start: Start, sentient: Run, repo: Repo, words: str
) -> None:
    thread = f"twice-{words.split(maxsplit=1)[0].rstrip(':')}"
    process = start("fix", str(repo()), "--thread", thread)
    read_until(process, words)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT
    goes_on(sentient, thread)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(12))
def test_signals_at_any_instants_then_resumed_give_the_same_patch(
    start: Start, sentient: Run, repo: Repo, seed: int
) -> None:
    chance, thread = random.Random(seed), f"any-{seed}"
    command = ["fix", str(repo()), "--thread", thread]
    for _ in range(4):
        process = start(*command)
        read_until(process, " ")  # its first words: the thread is accepted, or taken up again
        for _ in range(chance.choice([1, 2])):
            time.sleep(chance.uniform(0, 2.5))
            if process.poll() is None:
                process.send_signal(chance.choice(ENDING))
        out, err = process.communicate(timeout=60)
        if process.returncode == 0:
            break
        assert abs(process.returncode) in {1, 2, 15, 129, 130, 143}, out + err  # < 0: at its end
        if json.loads(sentient("show", thread, "--json").stdout)["status"] != "stopped":
            break  # it was over before the signal came
        command = ["resume", thread]
    done = sentient("resume", thread, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["patch"] == CALCULATOR_PATCH


@pytest.mark.long
def test_signal_as_soon_as_the_thread_is_accepted_goes_on(
    start: Start, sentient: Run, repo: Repo
) -> None:
    process = start("fix", str(repo()), "--thread", "at-first")
    read_until(process, "thread    at-first")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    goes_on(sentient, "at-first")


@pytest.mark.long
def test_signal_to_the_group_while_the_server_starts_leaves_the_server(
    start: Start, repo: Repo, tmp_path: Path
) -> None:
    home, env = tmp_path / "home", {"SENTIENT_HOME": str(tmp_path / "home")}
    process = start("fix", str(repo()), "--thread", "server", env=env)
    read_until(process, "thread    server")
    try:
        wait_until((home / "desktop/server.log").exists)
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=60)
        assert process.returncode == 128 + signal.SIGINT
        server = read_state(home / "desktop")["pid"]
        assert os.getsid(server) == server
        resumed = start("resume", "server", "--json", env=env)
        out, err = resumed.communicate(timeout=90)
        assert json.loads(out)["patch"] == CALCULATOR_PATCH, err
        assert read_state(home / "desktop")["pid"] == server
    finally:
        stop_server(home / "desktop")


def wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(2000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("nothing happened in 20 s")


@pytest.mark.long
def test_signal_twice_to_the_group_while_a_source_is_fetched_ends_git_too(
    start: Start, sentient: Run, tmp_path: Path
) -> None:
    write_files(tmp_path, {"bin/git": '#!/bin/sh\necho $$ > "$0.pid"\nexec sleep 300\n'})
    (tmp_path / "bin/git").chmod(0o755)
    written = tmp_path / "bin/git.pid"
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    process = start("fix", "https://127.0.0.1:9/x.git", "--thread", "cloning", env={"PATH": path})
    wait_until(lambda: written.exists() and bool(written.read_text().strip()))
    git = Path("/proc", written.read_text().strip())
    os.killpg(process.pid, signal.SIGINT)
    read_until(process, "stopping when this is done")
    assert git.exists()
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGINT
    assert not git.exists()
    assert json.loads(sentient("show", "cloning", "--json").stdout)["status"] == "stopped"


@pytest.mark.long
def test_terminal_closed_run_stops_after_its_step_and_goes_on(
    start: Start, sentient: Run, repo: Repo
) -> None:
    terminal, end = pty.openpty()
    process = start("fix", str(repo()), "--thread", "hangup", out=end, err=end)
    os.close(end)
    seen = b""
    while b"in the base" not in seen:
        seen += os.read(terminal, 4096)
    os.close(terminal)
    os.killpg(process.pid, signal.SIGHUP)
    assert process.wait(60) == 128 + signal.SIGHUP
    goes_on(sentient, "hangup")


@pytest.mark.long
def test_hangup_ignored_by_the_parent_is_ignored(start: Start, repo: Repo) -> None:
    kept = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = start("fix", str(repo()), "--thread", "nohup", "--json")
    finally:
        signal.signal(signal.SIGHUP, kept)
    time.sleep(3)
    os.killpg(process.pid, signal.SIGHUP)
    out, _ = process.communicate(timeout=60)
    assert json.loads(out)["patch"] == CALCULATOR_PATCH


@pytest.mark.long
def test_readers_gone_run_goes_on_to_its_end(start: Start, sentient: Run, repo: Repo) -> None:
    process = start("fix", str(repo()), "--thread", "head")
    assert process.stdout is not None
    process.stdout.close()
    read_until(process, "in the base")
    assert process.stderr is not None
    process.stderr.close()
    assert process.wait(60) == READER_GONE
    shown = json.loads(sentient("show", "head", "--json").stdout)
    assert (shown["status"], shown["patch"]) == ("verified", CALCULATOR_PATCH)


@pytest.mark.long
def test_signal_ends_a_snippet_with_its_desktop(start: Start, sentient: Run) -> None:
    program = "import time; print('begun', flush=True); time.sleep(60)"
    before = sentient("desktop", "list").stdout
    process = start("run", "python", "-", given=program)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (143, "sentient: stopped at once by SIGTERM\n")
    assert sentient("desktop", "list").stdout == before


def test_streams_closed_from_the_start_disturb_nothing(home: Path) -> None:
    command = ["bash", "-c", 'exec "$@" <&- >&- 2>&-', "bash", *MAIN, "threads"]
    done = subprocess.run(command, env={**os.environ, "SENTIENT_HOME": str(home)}, check=False)
    assert done.returncode == 0
