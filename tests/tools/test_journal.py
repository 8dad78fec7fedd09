"""The journal in a real desktop: each call once, however its caller ends."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tools.check import Suite
from tools.connection import Connection
from tools.desktop import Desktop
from tools.errors import ToolError
from tools.journal import (
    JOURNALS,
    KEPT_JOURNALS,
    Journal,
    OutcomeUnknownError,
    ReplayDivergedError,
    WithoutCode,
)
from tools.layout import CONTROL, MARKS, REPO
from tools.runners import Runner
from tools.settings import Settings
from tools.shell import SHOWN, run_shell
from tools.toolbox import Done, carry_out

FILE = f"{REPO}/file.txt"


class Work:
    """One piece of work, done by one process and then, after its death, by another."""

    def __init__(self, desktop: Desktop) -> None:
        self.desktop, self.confirmed = desktop, 0

    async def journal(self, *, adopted: bool = False, work: str = "act-1") -> Journal:
        mark = f"dirty.head.{work}.token.{self.confirmed}"
        await self.desktop.fs.write_file(f"{MARKS}/{mark}", "")

        async def confirm() -> None:
            self.confirmed += 1
            await self.desktop.fs.write_file(f"{MARKS}/{mark}", "")

        return Journal(self.desktop, mark, confirm, adopted=adopted)

    async def text(self) -> str:
        return await self.desktop.fs.read_file(FILE)


@pytest.fixture
async def work(settings: Settings) -> AsyncIterator[Work]:
    made = await Desktop.create(lifecycle="ephemeral", connection=Connection(settings))
    async with made as desktop:
        await desktop.fs.write_file(FILE, "one\n")
        yield Work(desktop)


async def leave_running(journal: Journal, call: str, command: str) -> None:
    """A process that starts a command and is not there any more when it ends."""
    running = asyncio.create_task(journal.run(call, command, timeout_s=60, shown=SHOWN))
    while call not in {entry.name for entry in await _entries(journal)}:
        await asyncio.sleep(0.02)
    await asyncio.sleep(0.2)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def _entries(journal: Journal) -> list[object]:
    try:
        return list(await journal.desktop.fs.list_dir(f"{JOURNALS}/head-act-1"))
    except ToolError:
        return []


async def test_run_finished_command_is_answered_and_not_run_again(work: Work) -> None:
    command = "echo two | tee -a file.txt; exit 3"
    first = await run_shell(await work.journal(), command, call="000")
    again = await run_shell(await work.journal(adopted=True), command, call="000")
    assert first == again == "two\n\n[exit code 3]"
    assert await work.text() == "one\ntwo\n"


async def test_run_command_that_still_runs_is_waited_for(work: Work) -> None:
    command = "sleep 2; echo two | tee -a file.txt"
    begun = time.monotonic()
    await leave_running(await work.journal(), "000", command)
    ended = await (await work.journal(adopted=True)).run("000", command, timeout_s=60, shown=100)
    assert (ended.output, ended.code) == ("two\n", 0)
    assert await work.text() == "one\ntwo\n"
    assert 2 < time.monotonic() - begun < 3.9


async def test_run_command_whose_runner_died_has_an_unknown_outcome(work: Work) -> None:
    await leave_running(await work.journal(), "000", "echo two >> file.txt; sleep 60")
    await work.desktop.exec("pkill -9 -f 000 ; pkill -9 sleep")
    for _ in range(2):  # also for whoever asks after one that died over the answer
        journal = await work.journal(adopted=True)
        with pytest.raises(OutcomeUnknownError, match="OUTCOME_UNKNOWN"):
            await journal.run("000", "echo two >> file.txt; sleep 60", timeout_s=60, shown=100)
    assert await work.text() == "one\ntwo\n"


async def test_run_command_that_ends_its_runner_is_answered(work: Work) -> None:
    answer = await run_shell(await work.journal(), "echo two; kill -9 -1", call="000")
    assert answer.startswith("two\n")
    assert "exit code 0" not in answer


async def test_run_another_command_of_the_same_name_is_refused(work: Work) -> None:
    await run_shell(await work.journal(), "echo two >> file.txt", call="000")
    with pytest.raises(ReplayDivergedError, match="REPLAY_DIVERGED"):
        await run_shell(await work.journal(adopted=True), "echo three >> file.txt", call="000")
    assert await work.text() == "one\ntwo\n"


async def test_run_without_the_mark_asks_before_anything_starts(work: Work) -> None:
    journal = await work.journal()
    await run_shell(journal, f"rm -rf {MARKS}", call="000")
    assert await run_shell(journal, "echo two", call="001") == "two\n\n[exit code 0]"
    assert work.confirmed == 1


async def test_run_fenced_off_holder_starts_nothing(work: Work) -> None:
    async def refuse() -> None:
        raise PermissionError

    await work.journal()
    stale = Journal(work.desktop, "dirty.head.act-1.stale.0", refuse, adopted=False)
    with pytest.raises(PermissionError):
        await run_shell(stale, "echo two >> file.txt", call="000")
    assert await work.text() == "one\n"


async def test_run_over_its_time_is_ended_without_anybody_there(work: Work) -> None:
    journal = await work.journal()
    command = "sleep 30; echo two >> file.txt"
    running = asyncio.create_task(journal.run("000", command, timeout_s=1.5, shown=100))
    await asyncio.sleep(0.7)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await asyncio.sleep(1.5)
    assert "sleep" not in (await work.desktop.exec("cat /proc/[0-9]*/comm")).stdout
    again = await work.journal(adopted=True)
    assert (await again.run("000", command, timeout_s=1.5, shown=100)).code is None
    assert await work.text() == "one\n"


async def test_run_command_exits_124_by_itself_is_no_timeout(work: Work) -> None:
    assert await run_shell(await work.journal(), "exit 124", call="000") == "\n[exit code 124]"


async def test_run_twice_at_once_runs_once(work: Work) -> None:
    one, two = await work.journal(), await work.journal(adopted=True)
    command = "sleep 0.5; echo two | tee -a file.txt"
    answers = await asyncio.gather(*(run_shell(j, command, call="000") for j in (one, two)))
    assert answers[0] == answers[1]
    assert await work.text() == "one\ntwo\n"


async def test_run_long_output_is_cut_in_the_middle(work: Work) -> None:
    answer = await run_shell(await work.journal(), "seq 100000", call="000")
    assert answer.startswith("1\n2\n")
    assert answer.endswith("100000\n\n[exit code 0]")
    assert "582895 bytes left out; all of it is in" in answer
    log = await work.desktop.fs.read_file(f"{JOURNALS}/head-act-1/000/log")
    assert len(log) == 588895


async def test_run_output_comes_as_it_is_printed_and_whole_when_waited_for(work: Work) -> None:
    seen: list[tuple[float, str]] = []
    command = "echo first; sleep 1; echo second"
    await (await work.journal()).run(
        "000", command, timeout_s=60, on_output=lambda text: seen.append((time.monotonic(), text))
    )
    assert "".join(text for _, text in seen) == "first\nsecond\n"
    assert seen[-1][0] - seen[0][0] > 0.5
    again = await (await work.journal(adopted=True)).run("000", command, timeout_s=60)
    assert again.output == "first\nsecond\n"


async def test_run_old_journals_do_not_pile_up(work: Work) -> None:
    many = " ".join(f"{JOURNALS}/old-{number:03}/000" for number in range(KEPT_JOURNALS * 3))
    await work.desktop.exec(f"mkdir -p {many}; sleep 0.01")
    assert await run_shell(await work.journal(), "echo two", call="000") == "two\n\n[exit code 0]"
    left = [entry.name for entry in await work.desktop.fs.list_dir(JOURNALS)]
    assert len(left) == KEPT_JOURNALS
    assert "head-act-1" in left


REPLACE = ("replace", {"path": "file.txt", "old": "one", "new": "two"})
CREATE = ("create_file", {"path": "file.txt", "content": "three\n"})
READ = ("read_file", {"path": "file.txt"})


async def test_edits_finished_are_answered_and_not_made_again(work: Work) -> None:
    calls = [READ, REPLACE, READ, CREATE, READ, REPLACE]
    journal = await work.journal()
    first = [await carried_out(journal, *call, f"{n:03}") for n, call in enumerate(calls)]
    assert await work.text() == "three\n"
    journal = await work.journal(adopted=True)
    again = [await carried_out(journal, *call, f"{n:03}") for n, call in enumerate(calls)]
    assert first == again
    assert again[2] == "1\ttwo"
    assert again[-1].startswith("error: ")
    assert await work.text() == "three\n"


async def carried_out(journal: Journal, name: str, args: dict[str, Any], call: str) -> str:
    return (await carry_out(journal, name, args, call, Suite(Runner()))).answer


async def test_edit_decided_but_not_made_is_made(work: Work) -> None:
    journal = await work.journal()
    await carried_out(journal, *REPLACE, "000")
    await work.desktop.fs.write_file(FILE, "")  # as if the write had been cut off
    answer = await carried_out(await work.journal(adopted=True), *REPLACE, "000")
    assert answer == "replaced 1 lines of file.txt by 1"
    assert await work.text() == "two\n"


async def test_edit_before_a_command_is_not_made_over_it(work: Work) -> None:
    journal = await work.journal()
    await carried_out(journal, *REPLACE, "000")
    await carried_out(journal, "shell", {"command": "echo four >> file.txt"}, "001")
    await carried_out(await work.journal(adopted=True), *REPLACE, "000")
    assert await work.text() == "two\nfour\n"


async def test_edit_whose_entry_was_cut_off_is_decided_anew(work: Work) -> None:
    await work.desktop.fs.write_file(f"{JOURNALS}/head-act-1/000.json", '{"digest": "')
    await carried_out(await work.journal(adopted=True), *REPLACE, "000")
    assert await work.text() == "two\n"


async def test_edit_that_cannot_be_written_is_answered_so_each_time(work: Work) -> None:
    call = ("create_file", {"path": "file.txt/below", "content": "x"})
    journal = await work.journal()
    first = await carried_out(journal, *call, "000")
    await carried_out(journal, *READ, "001")
    assert first.startswith("error: ")
    assert await carried_out(await work.journal(adopted=True), *call, "000") == first


async def test_edit_another_of_the_same_name_is_refused(work: Work) -> None:
    await carried_out(await work.journal(), *REPLACE, "000")
    with pytest.raises(ReplayDivergedError):
        await carried_out(await work.journal(adopted=True), *CREATE, "000")
    assert await work.text() == "two\n"


async def test_journal_of_other_work_knows_nothing(work: Work) -> None:
    await run_shell(await work.journal(), "echo two >> file.txt", call="000")
    await run_shell(await work.journal(work="act-2"), "echo two >> file.txt", call="000")
    assert await work.text() == "one\ntwo\ntwo\n"


async def test_journal_without_its_folder_goes_on(work: Work) -> None:
    journal = await work.journal()
    await run_shell(journal, f"rm -rf {CONTROL}", call="000")
    await carried_out(journal, *REPLACE, "001")
    assert await work.text() == "two\n"


TESTS = """\
def test_good(): pass
def test_bad():
    with open("/tmp/ran", "a") as file: file.write("x")
    assert open("file.txt").read() == "two"
"""


async def test_run_tests_tells_each_failure_and_a_successor_reads_what_came_of_it(
    work: Work,
) -> None:
    await work.desktop.fs.write_file(f"{REPO}/test_it.py", TESTS)

    async def run(call: str, *tests: str, adopted: bool = False) -> Done:
        journal = await work.journal(adopted=adopted)
        suite = Suite(Runner(), suite_timeout_s=60, test_timeout_s=20)
        return await carry_out(journal, "run_tests", {"tests": list(tests)}, call, suite)

    first = await run("000")
    assert first.answer.startswith("1 passed, 1 failed, in ")
    assert "FAILED test_it.py::test_bad\n" in first.answer
    assert "AssertionError: assert 'one\\n' == 'two'" in first.answer
    assert await run("000", adopted=True) == first
    assert await work.desktop.fs.read_file("/tmp/ran") == "x"
    other = await run("001", "test_it.py::test_good", "test_it.py::gone", adopted=True)
    assert other.answer.splitlines()[1:] == ["not found: test_it.py::gone"]
    assert other.run != first.run
    await work.desktop.fs.remove(f"{REPO}/test_it.py")


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_output_however_it_is_cut_is_passed_on_without_the_line_of_the_exit_code(size: int) -> None:
    printed, heard = "one\n\nsent\nsentient:x\ntwo\nsentient:0\n", list[str]()
    sink = WithoutCode(heard.append)
    for start in range(0, len(printed), size):
        sink(printed[start : start + size])
    assert "".join(heard) == "one\n\nsent\nsentient:x\ntwo"
    assert "" not in heard
