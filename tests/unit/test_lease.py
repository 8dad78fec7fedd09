"""One run a thread: processes, tasks of one process, and what a holder's death leaves."""

import asyncio
import json
import multiprocessing
import os
import signal
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

import pytest

from checkpoints.lease import (
    ThreadBusyError,
    held_lease,
    is_leased,
    lease_for_run,
    take_lease,
    thread_lease,
)


def _hold(folder: Path, ready: "multiprocessing.synchronize.Event") -> None:
    with thread_lease(folder, "t"):
        ready.set()
        multiprocessing.Event().wait()


def test_lease_second_process_is_refused_until_the_first_dies(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    holder = context.Process(target=_hold, args=(tmp_path, ready))
    holder.start()
    assert ready.wait(60)
    with pytest.raises(ThreadBusyError, match=f"THREAD_BUSY.*{holder.pid}"):
        thread_lease(tmp_path, "t").__enter__()
    with thread_lease(tmp_path, "another"):
        pass
    holder.kill()
    holder.join()
    with thread_lease(tmp_path, "t"):
        pass


def test_lease_each_one_has_a_token_of_its_own_and_knows_its_predecessors(tmp_path: Path) -> None:
    tokens = []
    for _ in range(3):
        with thread_lease(tmp_path, "t") as lease:
            tokens.append(lease.token)
            assert [lease.is_successor_of(token) for token in tokens] == [
                True for _ in tokens[:-1]
            ] + [False]
    assert len(set(tokens)) == 3
    assert not lease.is_successor_of("")
    with thread_lease(tmp_path, "another") as other:
        assert not any(other.is_successor_of(token) for token in tokens)


def test_lease_of_another_boot_or_home_is_no_predecessor(tmp_path: Path) -> None:
    with thread_lease(tmp_path / "a", "t") as theirs:
        pass
    for _ in range(2):
        with thread_lease(tmp_path / "b", "t") as ours:
            assert not ours.is_successor_of(theirs.token)
    boot, record, _ = ours.token.split("_")
    assert ours.is_successor_of(f"{boot}_{record}_1")
    assert not ours.is_successor_of(f"another-boot_{record}_1")


@pytest.mark.parametrize("left", ["", "{", "[]", '{"number": 7'])
def test_lease_record_damaged_by_power_loss_is_written_anew(tmp_path: Path, left: str) -> None:
    with thread_lease(tmp_path, "t") as before:
        pass
    [record] = tmp_path.glob("*.json")
    record.write_text(left)
    with thread_lease(tmp_path, "t") as after:
        assert json.loads(record.read_text())["pid"] == os.getpid()
        assert not after.is_successor_of(before.token)


def test_lease_asking_for_it_never_keeps_anybody_from_taking_it(tmp_path: Path) -> None:
    assert not is_leased(tmp_path, "t")
    with thread_lease(tmp_path, "t"):
        assert is_leased(tmp_path, "t")
    assert not is_leased(tmp_path, "t")
    probe = multiprocessing.get_context("spawn").Process(target=_ask_for_ever, args=(tmp_path,))
    probe.start()
    try:
        for _ in range(500):
            take_lease(tmp_path, "t").release()
    finally:
        probe.kill()
        probe.join()


def _ask_for_ever(folder: Path) -> None:
    while True:
        is_leased(folder, "t")


def test_lease_forked_process_does_not_keep_it(tmp_path: Path) -> None:
    lease = take_lease(tmp_path, "t")
    if not (child := os.fork()):
        signal.pause()
    try:
        lease.release()
        assert not is_leased(tmp_path, "t")
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_lease_discarded_is_given_back_and_leaves_no_file(tmp_path: Path) -> None:
    with thread_lease(tmp_path, "t") as first:
        first.discard()
        assert list(tmp_path.iterdir()) == []
        assert held_lease(tmp_path, "t") is None
    with thread_lease(tmp_path, "t") as second:
        assert not second.is_successor_of(first.token)


def test_lease_taken_and_discarded_by_many_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    alone = context.Value("i", 0)
    workers = [context.Process(target=_churn, args=(tmp_path, alone)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 4


def _churn(folder: Path, holders: "Synchronized[int]") -> None:
    taken = 0
    while taken < 50:
        try:
            lease = take_lease(folder, "t")
        except ThreadBusyError:
            continue
        with holders.get_lock():
            holders.value += 1
        assert holders.value == 1
        with holders.get_lock():
            holders.value -= 1
        lease.discard()
        taken += 1


async def test_lease_two_runs_of_one_process_one_wins(tmp_path: Path) -> None:
    won, lost = asyncio.Event(), asyncio.Event()

    async def run() -> str:
        try:
            async with lease_for_run(tmp_path, "t"):
                won.set()
                await lost.wait()
                return "ran"
        except ThreadBusyError:
            lost.set()
            return "busy"

    assert sorted(await asyncio.gather(run(), run())) == ["busy", "ran"]


async def test_lease_held_here_serves_one_run_after_another_never_two(tmp_path: Path) -> None:
    async def run(mine: str) -> str:
        try:
            async with lease_for_run(tmp_path, "t") as lease:
                assert lease.token == mine
                await asyncio.sleep(0.05)
                return "ran"
        except ThreadBusyError:
            return "busy"

    with thread_lease(tmp_path, "t") as held:
        assert await run(held.token) == "ran"
        assert await run(held.token) == "ran"
        assert sorted(await asyncio.gather(run(held.token), run(held.token))) == ["busy", "ran"]
    assert held_lease(tmp_path, "t") is None


async def test_lease_task_that_outlives_the_holder_has_no_right(tmp_path: Path) -> None:
    go = asyncio.Event()

    async def later() -> None:
        await go.wait()
        assert held_lease(tmp_path, "t") is None

    with thread_lease(tmp_path, "t"):
        task = asyncio.create_task(later())
        await asyncio.sleep(0)
    go.set()
    await task


async def test_lease_cancelled_while_it_is_taken_is_given_back(tmp_path: Path) -> None:
    for turns in range(6):
        taking = asyncio.create_task(lease_for_run(tmp_path, "t").__aenter__())
        for _ in range(turns):
            await asyncio.sleep(0)
        if not taking.done():
            taking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await taking
        async with asyncio.timeout(20):  # a thread still has it, on a disk that may be busy
            while is_leased(tmp_path, "t"):
                await asyncio.sleep(0.01)
