"""Between a run and whoever reads its stream: the run does not wait."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from nodes.backlog import Backlog


async def pumped(run: AsyncGenerator[Any, None]) -> AsyncGenerator[Any, None]:
    """The items of `run`, which goes on in a task of its own however slowly they are read.

    Its error is raised when what came before it was read. A reader that leaves, or is cancelled,
    cancels the run and goes when the run has ended.
    """
    backlog, news = Backlog(), asyncio.Event()

    async def fill() -> None:
        async with aclosing(run):
            async for item in run:
                backlog.put(item)
                news.set()

    def ended(task: "asyncio.Task[None]") -> None:
        if not task.cancelled():
            task.exception()  # of a reader that left nobody asks for it
        news.set()

    task = asyncio.create_task(fill())
    task.add_done_callback(ended)
    try:
        while backlog or not task.done():
            news.clear()
            if not backlog:
                await news.wait()
            while backlog:
                yield backlog.take()
        await task
    finally:
        await _stop(task)


async def _stop(task: "asyncio.Task[None]") -> None:
    if task.done():
        return
    task.cancel()
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        task.cancel()  # who is in a hurry interrupts the tidying up as well
        raise
