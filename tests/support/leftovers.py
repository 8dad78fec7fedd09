"""Everything of one home folder that is alive or on disk now, and what of it outlives its owner.

    before = take(home)
    ...
    assert leaks(home, before) == []

It asks the kernel, the disk and the registry, not the code under test: processes by control group,
environment, command line and descent (orphans included), mounts, listening ports, the server's
descriptors without its open connections, rows against folders, temporary folders (give a process
TMPDIR=home/tmp and they are counted). Desktops of the server's pool are nobody's and count for
nothing, as do the processes in them; their descriptors do, so compare when the pool is full.
"""

import hashlib
import json
import os
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from sentient_desktop.state import read_start_time, read_state
from sentient_desktop.store.records import POOLED

SETTLE_S = 5.0
"""How long what was ended may need to be gone."""

SERVER = "-m sentient_desktop serve"


@dataclass(frozen=True)
class Process:
    """A process that lives, no zombie."""

    pid: int
    parent: int
    command: str

    @property
    def kind(self) -> str:
        """What it is, the same after a restart: the command line without numbers.

        A server is nobody's child once the run that started it has ended, and no orphan.
        """
        orphan = " (orphan)" if self.parent == 1 and SERVER not in self.command else ""
        return re.sub(r"\d+", "N", self.command.strip())[:100] + orphan


@dataclass(frozen=True)
class Leftovers:
    """What there is; each item as a text that says what it is."""

    desktops: Counter[str]
    snapshots: Counter[str]
    layers: Counter[str]
    processes: Counter[str]
    mounts: Counter[str]
    ports: Counter[str]
    descriptors: Counter[str]
    strays: Counter[str]
    """Rows without a folder, folders without a row."""
    scratch: Counter[str]
    """Temporary files and folders."""

    def grown(self, since: "Leftovers") -> list[str]:
        """What is here and was not then, one line each."""
        lines = []
        for field in fields(self):
            more: Counter[str] = getattr(self, field.name) - getattr(since, field.name)
            lines += [f"{field.name}: {item} ({count} more)" for item, count in more.items()]
        return lines


def take(home: Path) -> Leftovers:
    """Count what belongs to `home` (the SENTIENT_HOME folder; its server may run or not)."""
    data = home / "desktop"
    rows = _rows(data)
    processes = list(_processes_of(home, rows))
    pids = [process.pid for process in processes]
    listening, connections, server = _sockets("0A"), _sockets("01"), _server(data)
    return Leftovers(
        desktops=Counter(row["id"] for row in rows["desktops"] if row["state"] != POOLED),
        snapshots=Counter(row["id"] for row in rows["snapshots"]),
        layers=Counter(_names(data / "layers")),
        processes=Counter(process.kind for process in processes),
        mounts=Counter(_mounts(home)),
        ports=Counter("listener" for pid in pids for link in _links(pid) if link in listening),
        descriptors=Counter(_kind(link) for link in _links(server) if link not in connections),
        strays=Counter(_strays(data, rows["desktops"])),
        scratch=Counter([*_names(home / "scratch"), *_names(home / "tmp")]),
    )


def take_at_rest(home: Path, within_s: float = SETTLE_S) -> Leftovers:
    """What there is once two looks agree: the pool is full, what was ended is gone."""
    deadline = time.monotonic() + within_s
    last, now = None, take(home)
    while now != last and time.monotonic() < deadline:
        time.sleep(0.3)
        last, now = now, take(home)
    return now


def leaks(home: Path, since: Leftovers, within_s: float = SETTLE_S) -> list[str]:
    """What has grown since and is still there after `within_s` seconds; returns at once if none."""
    deadline = time.monotonic() + within_s
    while (found := take(home).grown(since)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def _server(data: Path) -> int:
    """The pid of the server, 0 when none runs."""
    state = read_state(data)
    pid = state.get("pid")
    alive = isinstance(pid, int) and read_start_time(pid) == state.get("start_time")
    return int(pid) if alive else 0  # type: ignore[arg-type]


def _rows(data: Path) -> dict[str, list[dict[str, Any]]]:
    tables: dict[str, list[dict[str, Any]]] = {"desktops": [], "snapshots": []}
    if not (data / "registry.db").exists():
        return tables
    with closing(sqlite3.connect(f"file:{data}/registry.db?mode=ro", uri=True)) as registry:
        registry.row_factory = sqlite3.Row
        for name in tables:
            tables[name] = [dict(row) for row in registry.execute(f"select * from {name}")]
    return tables


def _strays(data: Path, rows: list[dict[str, Any]]) -> Iterator[str]:
    """Rows against folders; one being made for the pool may be on its way for a moment."""
    known, there = {row["id"] for row in rows}, set(_names(data / "desktops"))
    yield from (f"folder of no desktop: {name}" for name in there - known)
    yield from (f"desktop without folder: {name}" for name in known - there)
    layers = {layer for row in rows for layer in json.loads(row["layers"] or "[]")}
    yield from (f"missing layer: {name}" for name in layers - set(_names(data / "layers")))


def _processes_of(home: Path, rows: dict[str, list[dict[str, Any]]]) -> Iterator[Process]:
    """Processes of this home, without those of pooled desktops and without this process's own."""
    everyone = {process.pid: process for process in _everyone()}
    prefix = f"sentient-{hashlib.sha256(bytes(home / 'desktop')).hexdigest()[:12]}-"
    ours = {pid for pid in everyone if _mentions(pid, str(home), prefix)} - {os.getpid()}
    pooled = {row["monitor_pid"] for row in rows["desktops"] if row["state"] == POOLED} | {
        row["init_pid"] for row in rows["desktops"] if row["state"] == POOLED
    }
    mine = _ancestors(os.getpid(), everyone)
    for process in everyone.values():
        line = _ancestors(process.pid, everyone)
        if line & ours and not line & pooled and process.pid not in mine:
            yield process


def _everyone() -> Iterator[Process]:
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if stat[0] not in "ZX":
            yield Process(int(entry.name), int(stat[1]), command)


def _mentions(pid: int, home: str, cgroup: str) -> bool:
    try:
        place = Path("/proc", str(pid))
        if cgroup in (place / "cgroup").read_text():
            return True
        text = (place / "cmdline").read_bytes() + (place / "environ").read_bytes()
    except OSError:
        return False
    return home.encode() in text


def _ancestors(pid: int, everyone: dict[int, Process]) -> set[int]:
    line: set[int] = set()
    while pid in everyone and pid not in line:
        line.add(pid)
        pid = everyone[pid].parent
    return line


def _names(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir()] if folder.is_dir() else []


def _mounts(home: Path) -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line.split()[4] for line in lines if str(home) in line]


def _sockets(state: str) -> set[str]:
    """TCP sockets of this machine in a state (hexadecimal), as /proc/PID/fd shows them."""
    lines: list[str] = []
    for table in ("tcp", "tcp6"):
        lines += Path(f"/proc/self/net/{table}").read_text().splitlines()[1:]
    rows = (line.split() for line in lines)
    return {f"socket:[{row[9]}]" for row in rows if row[3] == state}


def _kind(link: str) -> str:
    """Which socket it is does not matter, how many does."""
    return link.split(":[", maxsplit=1)[0]


def _links(pid: int) -> Iterator[str]:
    try:
        entries = list(Path("/proc", str(pid), "fd").iterdir())
    except OSError:
        return
    for entry in entries:
        try:
            yield str(entry.readlink())
        except OSError:
            continue
