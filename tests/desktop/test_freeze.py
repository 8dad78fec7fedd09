"""The freezer that uses signals, on processes whose first thread says little about the others."""

import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sentient_desktop.sandbox.freeze import freeze, thaw, walk_tree
from sentient_desktop.store.mapped import find_mapped

WRITER = """
import os, sys, threading
def write():
    fd, size = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT), 64 << 20
    os.posix_fallocate(fd, 0, size)
    fills = [bytes([fill]) * size for fill in (1, 2)]
    print("ready", flush=True)
    while True:
        for fill in fills:
            os.pwrite(fd, fill, 0)
threading.Thread(target=write).start()
"""

LEADERLESS = """
import ctypes, mmap, platform, sys, threading, time
file = open(sys.argv[1], "w+b"); file.truncate(mmap.PAGESIZE)
memory = mmap.mmap(file.fileno(), 0)
def write():
    print("ready", flush=True)
    for number in range(1 << 60):
        memory[:8] = number.to_bytes(8, "big")
threading.Thread(target=write).start()
ctypes.CDLL(None).syscall({"x86_64": 60, "aarch64": 93}[platform.machine()], 0)
"""

SPAWNER = """
import subprocess, threading
def spawn():
    while True:
        subprocess.run(["/bin/true"])
for _ in range(4):
    threading.Thread(target=spawn).start()
print("ready", flush=True)
"""

SLOW_SPAWNER = """
import os, subprocess, threading
os.environ["PATH"] = "/x:" * 40_000 + os.environ["PATH"]  # a look at each between vfork and exec
def spawn():
    while True:
        subprocess.run(["true"])
for _ in range(2):
    threading.Thread(target=spawn).start()
print("ready", flush=True)
"""

Start = Callable[[str], int]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Run a program with a file's path as its argument; returns its pid once it is ready."""
    running: list[subprocess.Popen[str]] = []

    def run(program: str) -> int:
        command = [sys.executable, "-c", program, str(tmp_path / "file")]
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        assert running[-1].stdout
        assert running[-1].stdout.readline() == "ready\n"
        return running[-1].pid

    yield run
    for process in running:
        process.kill()
        process.communicate()


def test_thread_in_a_long_write_is_waited_for(tmp_path: Path, start: Start) -> None:
    pid = start(WRITER)
    for _ in range(10):
        stopped = freeze(pid)
        content = (tmp_path / "file").read_bytes()
        assert content[:1] == content[-1:]
        assert content == (tmp_path / "file").read_bytes()
        thaw(stopped)
        time.sleep(0.005)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="numbers of exit()")
def test_process_whose_first_thread_has_ended_is_stopped_and_its_mappings_found(
    tmp_path: Path, start: Start
) -> None:
    pid, file = start(LEADERLESS), tmp_path / "file"
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
        time.sleep(0.001)
    assert list(walk_tree(pid)) == [pid]
    stopped = freeze(pid)
    assert stopped == [pid]
    assert str(file.relative_to("/")) in (find_mapped(stopped, Path("/")) or ())
    written = file.read_bytes()
    time.sleep(0.05)
    assert file.read_bytes() == written
    thaw(stopped)
    while file.read_bytes() == written:
        time.sleep(0.001)


@pytest.mark.parametrize("program", [SPAWNER, SLOW_SPAWNER], ids=["fast", "slow"])
def test_processes_that_start_others_without_pause_are_stopped(start: Start, program: str) -> None:
    pid = start(program)
    for _ in range(10):
        stopped = freeze(pid)
        assert all(set(states) <= {"T"} for states in walk_tree(pid).values())
        thaw(stopped)
        time.sleep(0.002)
