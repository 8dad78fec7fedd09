"""A thread's past on the command line: history, fork, rewinding, differences."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from samples import CALCULATOR, MARKED_PATCH, Run, write_files
from scripted_model import Script, call, scripted_model

from nodes.desktops import OWNER, ROLE
from sentient.opening import config_of, open_graph, saver_of
from sentient.past import travel
from sentient.past.compare import READER
from tools.connection import Connection
from tools.desktop import delete_snapshot, list_desktops
from tools.settings import Settings

THREAD = "past"
FIRST = call("shell", command="echo '# one' >> calc.py; echo said one")
SECOND = call("shell", command="echo '# two' >> calc.py")
GOOD = call("replace", path="calc.py", old="(len(values) + 1)", new="len(values)")
DONE = call("hand_in", summary="done")
SCRIPT = Script(coder=[FIRST, SECOND, DONE, GOOD, DONE])
"""Two attempts: the first changes nothing that matters, the second repairs."""


@pytest.fixture(scope="module")
def model() -> Iterator[dict[str, str]]:
    with scripted_model(SCRIPT) as url:
        yield {"OPENAI_BASE_URL": url, "SENTIENT_MODEL": "scripted"}


@pytest.fixture(scope="module")
def settings(home: Path, model: dict[str, str]) -> Settings:
    return Settings(home=home, model="scripted", openai_base_url=model["OPENAI_BASE_URL"])


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_files(tmp_path_factory.mktemp("past") / "calculator", CALCULATOR)


@pytest.fixture(scope="module")
def states(settings: Settings, source: Path) -> list[Any]:
    """The snapshots of LangGraph's own history of a finished thread, newest first."""

    async def work() -> list[Any]:
        async with open_graph(settings) as graph:
            await graph.ainvoke({"source": str(source)}, config_of(THREAD))
            return [item async for item in graph.aget_state_history(config_of(THREAD))]

    return asyncio.run(work())


def rows(sentient: Run, thread: str = THREAD) -> list[dict[str, Any]]:
    done = sentient("history", thread, "--json")
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def checkpoint(states: list[Any], number: int, *, before: str) -> str:
    """The id of the n-th checkpoint, from the oldest, that `before` comes after."""
    found = [state for state in reversed(states) if state.next == (before,)]
    return str(found[number].config["configurable"]["checkpoint_id"])


def refused(done: Any, code: int, *words: str) -> None:
    assert done.returncode == code, done.stderr
    [line] = done.stderr.splitlines()
    assert line.startswith("sentient: ")
    assert not [word for word in words if word not in line], line


def test_history_agrees_with_langgraphs_own(sentient: Run, states: list[Any]) -> None:
    assert sentient("diff", THREAD).stdout == MARKED_PATCH
    listed = rows(sentient)
    assert [row["checkpoint"] for row in listed] == [
        state.config["configurable"]["checkpoint_id"] for state in states
    ]
    assert [row["next"] for row in listed] == [list(state.next) for state in states]
    assert [row["attempt"] for row in listed] == [s.values.get("attempt", 0) for s in states]
    made = [row["node"] for row in reversed(listed)]
    coming = [row["next"] for row in reversed(listed)]
    assert made[2:] == [names[0] for names in coming[1:-1]]
    assert all(row["bytes"] > 100 for row in listed)


def test_history_names_tests_files_and_snapshots(sentient: Run, states: list[Any]) -> None:
    by_node = {row["node"]: row for row in rows(sentient)}
    assert by_node["deliver"]["failing"] == []
    assert by_node["planner"]["failing"] == [
        "test_calc.py::test_mean_of_two",
        "test_calc.py::test_mean_of_one",
    ]
    assert by_node["planner"]["changed_count"] == 0
    assert by_node["act"]["changed"] == ["calc.py"]
    assert by_node["act"]["snapshot"]
    assert not by_node["input"]["snapshot"]


def test_history_text_fits_the_terminal(
    sentient: Run, states: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = sentient("history", THREAD, "--limit", "5").stdout.splitlines()
    assert len(lines) == 7
    assert max(map(len, lines)) <= 80
    assert all(name in lines[0] for name in ("CHECKPOINT", "NODE", "CHANGED", "AGE", "SIZE"))
    assert lines[1].startswith("● ")
    assert "deliver" in lines[1]
    assert f"5 of {len(states)} checkpoints" in lines[-1]


def test_fork_has_state_and_files_and_leaves_the_original_alone(
    sentient: Run, states: list[Any]
) -> None:
    before = rows(sentient)
    second = checkpoint(states, 1, before="act")
    forked = json.loads(sentient("fork", THREAD, "--from", second[:24], "--json").stdout)
    assert forked["next"] == ["act"]
    [first] = rows(sentient, forked["thread"])
    [origin] = [row for row in before if row["checkpoint"] == second]
    same = ("node", "next", "attempt", "failing", "changed", "snapshot")
    assert {name: first[name] for name in same} == {name: origin[name] for name in same}
    assert first["taken_from"] == f"{THREAD}@{second}"
    files = sentient("diff", forked["thread"], "--at", "latest").stdout
    assert "+# one" in files
    assert files == sentient("diff", THREAD, "--at", second).stdout
    assert rows(sentient) == before


@pytest.mark.long
def test_fork_of_a_fork_with_another_task_tells_the_coder(
    sentient: Run, states: list[Any], model: dict[str, str], settings: Settings
) -> None:
    again = checkpoint(states, 2, before="coder")
    for thread, origin, name in (
        ("past-again", THREAD, again),
        ("past-and-again", "past-again", "latest"),
    ):
        given = ["--from", name, "--thread", thread, "--task", f"the task of {thread}"]
        assert sentient("fork", origin, *given).returncode == 0
    SCRIPT.requests.clear()
    done = sentient("resume", "past-and-again", "--json", env=model)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["patch"] == sentient("diff", THREAD).stdout
    asked = SCRIPT.requests[0]["messages"]
    told = [m["content"] for m in asked if str(m["content"]).startswith("The task is now: ")]
    assert told == [
        f"The task is now: the task of {name}" for name in ("past-again", "past-and-again")
    ]
    assert (
        json.loads(sentient("threads", "--json").stdout)[0]["task"] == "the task of past-and-again"
    )


def test_resume_from_rewinds_a_finished_thread_and_keeps_the_branch(
    sentient: Run, states: list[Any], model: dict[str, str], source: Path
) -> None:
    original = sentient("diff", THREAD).stdout
    known = {row["checkpoint"] for row in rows(sentient)}
    third = checkpoint(states, 0, before="tester")
    done = sentient("resume", THREAD, "--from", third, "--json", env=model)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["patch"] == original
    after = rows(sentient)
    assert known < {row["checkpoint"] for row in after}
    rewound = next(row for row in after if row["checkpoint"] not in known and row["taken_from"])
    assert (rewound["taken_from"], rewound["parent"]) == (f"{THREAD}@{third}", third)
    abandoned = [row for row in after if not row["on_current_branch"]]
    assert {row["checkpoint"] for row in abandoned} < known
    assert "│ ○" in sentient("history", THREAD).stdout
    status = {row["id"]: row["status"] for row in json.loads(sentient("threads", "--json").stdout)}
    assert status[THREAD] == "verified"


@pytest.mark.long
def test_rewound_question_is_asked_again(sentient: Run, source: Path, model: Any) -> None:
    asking = ["fix", str(source), "--approve", "--thread", "past-asked", "--model", "scripted"]
    assert sentient(*asking, env=model).returncode == 5
    [asks] = [row["checkpoint"] for row in rows(sentient, "past-asked") if row["asks"]]
    assert sentient("resume", "past-asked", "--answer", "reject", env=model).returncode == 3
    assert sentient("resume", "past-asked", "--from", asks, env=model).returncode == 5
    status = {row["id"]: row["status"] for row in json.loads(sentient("threads", "--json").stdout)}
    assert status["past-asked"] == "waiting"
    assert sentient("resume", "past-asked", "--answer", "reject", env=model).returncode == 3
    told = json.loads(sentient("logs", "past-asked", "--json").stdout)
    assert [e["text"] for e in told if e["kind"] in ("asked", "answered", "gave up")] == [
        "approve this plan?", "reject", "the plan was rejected",
    ]  # fmt: skip


def test_diff_between_checkpoints_applies_to_files_of_the_first(
    sentient: Run, states: list[Any], source: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(source, tmp_path / "copy"))
    acted = [checkpoint(states, n, before=node) for n, node in ((1, "coder"), (2, "coder"))]
    for span in (("--at", acted[0]), ("--between", *acted), ("--between", acted[1], "latest")):
        assert sentient("diff", THREAD, *span, "--apply", str(folder)).returncode == 0
    text = (folder / "calc.py").read_text()
    assert text.count("# one") == text.count("# two") == 1
    assert "/ len(values)\n" in text
    back = json.loads(sentient("diff", THREAD, "--between", "latest", "base", "--json").stdout)
    assert back["files"] == [{"path": "calc.py", "status": "M", "added": 1, "removed": 3}]
    subprocess.run(["git", "apply"], input=back["patch"], text=True, cwd=folder, check=True)
    assert (folder / "calc.py").read_text() == CALCULATOR["calc.py"]


def test_logs_tell_the_story_and_print_one_commands_output(
    sentient: Run, states: list[Any]
) -> None:
    events = json.loads(sentient("logs", THREAD, "--json").stdout)
    kinds = [event["kind"] for event in events]
    assert kinds[:5] == ["repository", "baseline", "plan", "told", "call"]
    assert kinds[-3:] == ["verdict", "review", "report"]
    assert kinds.count("verdict") == 2
    assert kinds.count("call") == kinds.count("answer") == len(SCRIPT.coder)
    text = sentient("logs", THREAD).stdout
    assert "tester    verdict: not passed: 2 of 2 tests still do not pass" in text
    call = next(event["call"] for event in events if event["kind"] == "call")
    assert sentient("logs", THREAD, "--call", call).stdout == "said one\n"
    edit = next(e["call"] for e in events if e["text"].startswith("replace("))
    refused(sentient("logs", THREAD, "--call", edit), 2, edit, "only shell commands do")
    refused(sentient("logs", THREAD, "--call", "nope"), 2, "made no call 'nope'")


def test_bad_names_are_one_clear_line_and_leave_nothing(
    sentient: Run, states: list[Any], settings: Settings
) -> None:
    newest, start = rows(sentient)[0]["checkpoint"], states[-2].config["configurable"]
    act = checkpoint(states, 0, before="act")
    for command in (("history",), ("fork", "--from", "x"), ("diff", "--at", "x")):
        refused(sentient(command[0], "nope", *command[1:]), 2, "there is no thread nope")
    refused(sentient("resume", "nope", "--from", "x"), 2, "there is no thread nope")
    for command in (("fork", "--from"), ("resume", "--from"), ("diff", "--at")):
        run = lambda name, command=command: sentient(command[0], THREAD, command[1], name)  # noqa: E731
        refused(run("zzz"), 2, "no checkpoint 'zzz'", f"sentient history {THREAD}")
        refused(run("1"), 2, "begins the ids of", newest[:8], "(deliver)")
        refused(run(start["checkpoint_id"]), 2, "before there were files")
    refused(sentient("fork", THREAD, "--from", newest), 2, "the run ended there")
    refused(sentient("fork", THREAD, "--from", act, "--task", "x"), 2, "act comes next")
    refused(sentient("fork", THREAD, "--from", act, "--thread", THREAD), 2, "exists already")
    refused(sentient("resume", THREAD, "--from", act, "--answer", "approve"), 2, "asks questions")
    refused(sentient("diff", THREAD, "--between", act, act), 2, "nothing to compare")
    refused(sentient("diff", THREAD, "--at", act, "--between", act, "base"), 2, "exclude")
    assert desktops(settings) == []


@pytest.mark.long
def test_logs_of_a_call_in_a_paused_desktop_do_not_wake_it(
    sentient: Run, settings: Settings, source: Path
) -> None:
    async def stop_before_the_call() -> str:
        connection, wanted = Connection(settings), {OWNER: "asleep", ROLE: "work"}
        async with open_graph(settings) as graph:
            before = ["act"]
            given = {"source": str(source)}
            await graph.ainvoke(given, config_of("asleep"), interrupt_before=before)
        [desktop] = [found async for found in list_desktops(connection, wanted)]
        return desktop

    desktop = asyncio.run(stop_before_the_call())
    events = json.loads(sentient("logs", "asleep", "--json").stdout)
    made = next(event["call"] for event in events if event["kind"] == "call")
    sentient("desktop", "resume", desktop)
    refused(sentient("logs", "asleep", "--call", made), 2, "left no log")
    assert sentient("desktop", "pause", desktop).returncode == 0
    hint = "go on with: sentient resume asleep"
    refused(sentient("logs", "asleep", "--call", made), 2, "its desktop is paused", hint)
    assert json.loads(sentient("desktop", "show", desktop, "--json").stdout)["state"] == "paused"
    assert sentient("desktop", "kill", desktop).returncode == 0


def test_collected_snapshot_is_an_environment_fault_and_leaves_nothing(
    sentient: Run, states: list[Any], settings: Settings
) -> None:
    lost = next(row for row in rows(sentient) if row["node"] == "act")
    asyncio.run(delete_snapshot(Connection(settings), lost["snapshot"]))
    before = rows(sentient)
    for command in (("fork", "--from"), ("resume", "--from"), ("diff", "--at")):
        done = sentient(command[0], THREAD, command[1], lost["checkpoint"])
        refused(done, 4, "are gone", lost["snapshot"])
    assert desktops(settings) == []
    assert rows(sentient) == before


DYING = """
import os, sentient.past.travel as travel
from sentient.cli import main
write = travel._write
async def and_die(*arguments):
    await write(*arguments)
    os._exit(9)
travel._write = and_die
main()
"""


@pytest.mark.long
def test_fork_that_died_shows_nowhere_and_does_not_keep_its_name(
    sentient: Run, states: list[Any], home: Path
) -> None:
    second = checkpoint(states, 1, before="act")
    free = json.loads(sentient("fork", THREAD, "--from", second, "--json").stdout)["thread"]
    prefix, number = free.rsplit("fork", 1)
    died = f"{prefix}fork{int(number) + 1}"
    command = [sys.executable, "-c", DYING, "fork", THREAD, "--from", second]
    env = {**os.environ, "SENTIENT_HOME": str(home)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 9, done.stderr
    refused(sentient("history", died), 2, f"there is no thread {died}")
    assert died not in sentient("threads", "--json").stdout
    again = json.loads(sentient("fork", THREAD, "--from", second, "--json").stdout)
    assert again["thread"] == died
    assert len(rows(sentient, died)) == 1


def test_fork_whose_files_go_while_it_is_written_leaves_nothing(
    sentient: Run, states: list[Any], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, third = travel._write, checkpoint(states, 2, before="act")

    async def and_lose_the_files(graph: Any, thread: str, moment: Any, *more: Any) -> None:
        await write(graph, thread, moment, *more)
        await delete_snapshot(Connection(settings), moment.snapshot)

    monkeypatch.setattr(travel, "_write", and_lose_the_files)
    refused(sentient("fork", THREAD, "--from", third, "--thread", "too-late"), 4, "are gone")
    refused(sentient("history", "too-late"), 2, "there is no thread too-late")

    async def newest() -> Any:
        async with open_graph(settings) as graph:
            return await saver_of(graph).aget_tuple(config_of("too-late"))

    assert asyncio.run(newest()) is None


def desktops(settings: Settings) -> list[str]:
    async def find() -> list[str]:
        connection = Connection(settings)
        threads = (THREAD, "past-again", f"{THREAD}-fork1")
        wanted = [{ROLE: READER}, *({OWNER: thread} for thread in threads)]
        return [d for metadata in wanted async for d in list_desktops(connection, metadata)]

    return asyncio.run(find())
