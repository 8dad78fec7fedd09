"""`sentient prune` and the sweep: what nothing needs goes, what anything needs or uses stays."""

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from homes import own_home
from langgraph.channels.delta import DeltaChannel
from langgraph.graph import StateGraph
from samples import CALCULATOR, ROOT, Repo, Run, write_files

from checkpoints.lease import recorded_threads, take_lease
from checkpoints.ledger import FORGOTTEN, Ledger
from nodes.desktops import OWNER, ROLE
from nodes.home_desktops import HomeDesktops
from sentient.opening import config_of, open_graph, saver_of
from sentient_desktop import ensure_server
from tools.connection import Connection
from tools.desktop import Desktop, kill_desktop
from tools.home import HOME, home_id
from tools.settings import Settings

KILLED = str(ROOT / "tests/support/killed_cli.py")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, _own_configuration: None) -> Iterator[Path]:
    """A home of its own: everything in it is pruned."""
    with own_home(tmp_path_factory, "prune") as folder:
        ensure_server(folder / "desktop")
        yield folder


@pytest.fixture(scope="module")
def interrupted(home: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A thread whose process died after the snapshot of its tool calls, before their checkpoint."""
    folder = tmp_path_factory.mktemp("interrupted")
    source = write_files(folder / "calculator", CALCULATOR)
    plan = [KILLED, "act", "sealed", "self", str(folder / "killed"), "--"]
    done = subprocess.run(
        [sys.executable, *plan, "fix", str(source), "--thread", "interrupted"],
        env={**os.environ, "SENTIENT_HOME": str(home)}, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == -9, done.stderr
    return "interrupted"


def server(home: Path) -> HomeDesktops:
    return HomeDesktops(Connection(Settings(home=home)), home)


def desktops(home: Path) -> set[tuple[str, str]]:
    """Thread and role of every desktop there is."""
    return {(found.thread, found.role) for found in asyncio.run(server(home).desktops())}


def snapshots(home: Path, thread: str) -> set[str]:
    """Every snapshot of a thread's desktops on the server."""
    ledger = Ledger(home / "ledger.db")
    rows = ledger._file.rows("select id from desktops where thread = ?", [thread])
    ledger.close()

    async def ask() -> set[str]:
        return {found for row in rows for found in await server(home).snapshots(row["id"])}

    return asyncio.run(ask())


def make(home: Path, thread: str, role: str) -> None:
    """A desktop as a node makes it, left by a process that died before it wrote it down."""
    metadata = {OWNER: thread, ROLE: role, HOME: home_id(home)}
    connection = Connection(Settings(home=home))
    asyncio.run(Desktop.create(metadata=metadata, connection=connection))


def prune(sentient: Run, *args: str, code: int = 0) -> dict[str, Any]:
    done = sentient("prune", *args, "--json")
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


@pytest.mark.long
def test_prune_orphans_are_collected_and_the_thread_can_still_be_resumed(
    sentient: Run, home: Path, interrupted: str
) -> None:
    make(home, "nobody", "work")
    make(home, interrupted, "verdict")
    there = snapshots(home, interrupted)
    planned = prune(sentient, "--dry-run")
    assert desktops(home) > {("nobody", "work"), (interrupted, "verdict")}
    assert snapshots(home, interrupted) == there
    done = prune(sentient)
    assert {**planned, "dry_run": False} | {"snapshot_bytes": 0, "database_bytes": 0} == {
        **done, "snapshot_bytes": 0, "database_bytes": 0,
    }  # fmt: skip
    assert (len(done["desktops"]), len(done["snapshots"]), done["threads"]) == (2, 1, [])
    assert desktops(home) == {(interrupted, "work")}
    assert snapshots(home, interrupted) == there - set(done["snapshots"])
    assert prune(sentient)["snapshots"] == []
    assert sentient("resume", interrupted).returncode == 0
    assert desktops(home) == set()


def test_prune_thread_in_use_is_left_alone(sentient: Run, home: Path) -> None:
    make(home, "in-use", "verdict")
    lease = take_lease(Settings(home=home).leases, "in-use")
    done = prune(sentient)
    assert "in-use" in recorded_threads(Settings(home=home).leases)
    assert (done["desktops"], done["busy"]) == ([], ["in-use"])
    assert desktops(home) == {("in-use", "verdict")}
    assert "THREAD_BUSY" in sentient("prune", "in-use").stderr
    lease.release()
    assert len(prune(sentient)["desktops"]) == 1


def test_prune_desktop_of_another_home_is_left_alone(sentient: Run, home: Path) -> None:
    connection = Connection(Settings(home=home))
    metadata = {OWNER: "nobody", ROLE: "work", HOME: "of-another-home"}
    desktop = asyncio.run(Desktop.create(metadata=metadata, connection=connection))
    assert prune(sentient)["desktops"] == []
    assert desktop.id in sentient("desktop", "list").stdout
    asyncio.run(kill_desktop(connection, desktop.id))


def test_prune_removal_cut_short_is_finished(sentient: Run, home: Path, repo: Repo) -> None:
    assert sentient("fix", str(repo()), "--thread", "cut", "--approve").returncode == 5
    ledger = Ledger(home / "ledger.db")
    ledger.save_thread("cut", status=FORGOTTEN)  # killed before the checkpoints were deleted
    assert "no thread cut" in sentient("show", "cut").stderr
    assert "cut" in prune(sentient, "--dry-run")["threads"]
    assert "cut" in prune(sentient)["threads"]
    assert ledger.half_forgotten() == []
    ledger.close()
    assert desktops(home) == snapshots(home, "cut") == set()


@pytest.mark.long
def test_fix_named_like_a_thread_half_removed_starts_afresh(
    sentient: Run, home: Path, repo: Repo
) -> None:
    assert sentient("fix", str(repo()), "--thread", "again", "--approve").returncode == 5
    ledger = Ledger(home / "ledger.db")
    ledger.save_thread("again", status=FORGOTTEN)
    ledger.close()
    other = repo(name="other")
    result = sentient("fix", str(other), "--thread", "again", "--approve", "--json")
    assert result.returncode == 5, result.stderr
    moments = json.loads(sentient("history", "again", "--json").stdout)
    assert [moment["node"] for moment in moments].count("prepare") == 1
    assert prune(sentient, "again", "--force")["threads"] == ["again"]


@pytest.mark.long
def test_prune_thread_with_checkpoints_elsewhere_keeps_its_snapshots(
    sentient: Run, home: Path, repo: Repo, tmp_path: Path
) -> None:
    elsewhere = ("--checkpoints", f"sqlite:///{tmp_path}/elsewhere.db")
    started = sentient("fix", str(repo()), "--thread", "elsewhere", "--approve", *elsewhere)
    assert started.returncode == 5, started.stderr
    there = snapshots(home, "elsewhere")
    assert not there & set(prune(sentient, "--older-than", "0h")["snapshots"])
    assert "are not here" in sentient("prune", "elsewhere").stderr
    assert snapshots(home, "elsewhere") == there != set()
    assert prune(sentient, "elsewhere", "--force", *elsewhere)["threads"] == ["elsewhere"]
    assert snapshots(home, "elsewhere") == set()


@pytest.mark.long
def test_fix_sweeps_what_a_dead_process_left_and_prune_leaves_the_fork_of_its_thread_whole(
    sentient: Run, home: Path, repo: Repo
) -> None:
    make(home, "nobody", "work")
    assert sentient("fix", str(repo()), "--thread", "original").returncode == 0
    assert desktops(home) == set()
    moments = json.loads(sentient("history", "original", "--json").stdout)
    [act] = [moment["checkpoint"] for moment in moments if moment["next"] == ["act"]]
    forked = sentient("fork", "original", "--from", act, "--thread", "forked")
    assert forked.returncode == 0, forked.stderr
    done = prune(sentient, "original")
    assert done["threads"] == ["original"]
    assert done["snapshots"]
    assert snapshots(home, "original"), "the fork's files are a snapshot of the original's desktop"
    assert "no thread original" in sentient("show", "original").stderr
    result = sentient("resume", "forked", "--json")
    assert result.returncode == 0, result.stderr
    assert "original" not in recorded_threads(Settings(home=home).leases)
    assert "forked" in recorded_threads(Settings(home=home).leases)
    expect_going_by_age(sentient, "forked")
    assert snapshots(home, "original") == snapshots(home, "forked") == set()
    assert "forked" not in recorded_threads(Settings(home=home).leases)


def expect_going_by_age(sentient: Run, ended: str) -> None:
    """A thread that has ended stays while it is young, is reduced to its last checkpoint, goes."""
    assert ended not in prune(sentient)["threads"], "it is younger than SENTIENT_KEEP_DAYS"
    assert ended in prune(sentient, "--keep", "latest")["reduced"]
    assert len(json.loads(sentient("history", ended, "--json").stdout)) == 1
    assert "+    return sum(values) / " in sentient("diff", ended).stdout
    assert ended in prune(sentient, "--older-than", "0h")["threads"]
    assert sentient("threads", "--json").stdout.strip() == "[]"


class Foreign(TypedDict):
    notes: Annotated[list[Any], DeltaChannel(lambda old, new: [*old, *new], list)]


@pytest.mark.long
def test_prune_thread_of_another_graph_is_left_alone_in_one_line(
    sentient: Run, home: Path, repo: Repo
) -> None:
    async def make_foreign() -> None:
        async with open_graph(Settings(home=home)) as graph:
            builder = StateGraph(Foreign)
            builder.add_node("note", lambda _: {"notes": "a"})
            builder.set_entry_point("note")
            foreign = builder.compile(checkpointer=saver_of(graph))
            await foreign.ainvoke({"notes": "b"}, config_of("foreign"))

    asyncio.run(make_foreign())
    assert sentient("fix", str(repo()), "--thread", "ours").returncode == 0
    done = sentient("prune", "foreign", "ours", "--keep", "latest")
    assert done.returncode == 4, done.stderr
    assert done.stdout.splitlines()[1:2] == ["reduced 1 thread to the newest checkpoint"]
    [line] = [line for line in done.stdout.splitlines() if line.startswith("left alone")]
    assert "thread foreign holds notes as deltas of an unknown kind" in line
    assert len(json.loads(sentient("history", "ours", "--json").stdout)) == 1
    assert prune(sentient, "foreign", "ours", "--force")["threads"] == ["foreign", "ours"]


def test_prune_open_thread_goes_only_by_force(sentient: Run, home: Path, repo: Repo) -> None:
    assert sentient("fix", str(repo()), "--thread", "asks", "--approve").returncode == 5
    refused = sentient("prune", "asks")
    assert refused.returncode == 2
    assert "has not ended" in refused.stderr
    assert "asks" not in prune(sentient, "--older-than", "0h")["threads"]
    assert desktops(home) == {("asks", "work")}
    assert prune(sentient, "asks", "--force")["threads"] == ["asks"]
    assert desktops(home) == set()
    assert "no thread asks" in sentient("prune", "asks").stderr


@pytest.mark.parametrize(
    "damage", ["one checkpoint", pytest.param("the database", marks=pytest.mark.long)]
)
def test_prune_unreadable_checkpoints_nothing_that_depends_on_them_goes(
    sentient: Run, home: Path, repo: Repo, damage: str
) -> None:
    thread = f"unread-{damage.replace(' ', '-')}"
    assert sentient("fix", str(repo()), "--thread", thread, "--approve").returncode == 5
    make(home, "nobody", "work")
    there, path = snapshots(home, thread), home / "checkpoints.db"
    repair = _damage_checkpoint(path, thread) if damage == "one checkpoint" else _damage(path)
    done = sentient("prune", "--older-than", "0h")
    assert done.returncode == 4, done.stdout
    assert snapshots(home, thread) == there
    assert (thread, "work") in desktops(home)
    repair()
    assert prune(sentient, thread, "--force")["threads"] == [thread]
    prune(sentient)
    assert snapshots(home, thread) == set()
    assert desktops(home) == set()


def _damage_checkpoint(path: Path, thread: str) -> Callable[[], None]:
    query = "update checkpoints set checkpoint = ? where rowid = ?"
    with sqlite3.connect(path) as database:
        row, data = database.execute(
            "select rowid, checkpoint from checkpoints where thread_id = ? limit 1", [thread]
        ).fetchone()
        database.execute(query, [b"\xc1", row])
    database.close()

    def repair() -> None:
        with sqlite3.connect(path) as database:
            database.execute(query, [data, row])
        database.close()

    return repair


def _damage(path: Path) -> Callable[[], None]:
    data = path.read_bytes()
    path.write_bytes(b"not a database".ljust(4096, b"."))
    return lambda: (path.write_bytes(data), None)[1]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--older-than", "soon"], "as in 30d; got 'soon'"),
        (["x", "--older-than", "1d"], "name none"),
        (["never-was"], "there is no thread never-was"),
    ],
)
def test_prune_bad_request_is_usage(sentient: Run, args: list[str], words: str) -> None:
    done = sentient("prune", *args)
    assert done.returncode == 2
    assert words in done.stderr
