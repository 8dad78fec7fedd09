"""Work that nobody waits for any longer ends all the same, before its caller does."""

import asyncio

import pytest

from sentient_desktop.whole import whole


async def test_work_whose_caller_is_cancelled_again_and_again_ends_first() -> None:
    may_end, ended = asyncio.Event(), []

    async def work() -> None:
        await may_end.wait()
        ended.append(True)

    caller = asyncio.create_task(whole(work()))
    for _ in range(3):
        await asyncio.sleep(0.01)
        caller.cancel()
    await asyncio.sleep(0.01)
    assert not caller.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert ended == [True]


async def test_work_gives_its_result_or_its_error() -> None:
    async def fail() -> None:
        raise LookupError("gone")

    assert await whole(asyncio.sleep(0, "done")) == "done"
    with pytest.raises(LookupError, match="gone"):
        await whole(fail())
