"""Signals that end a run: the first drains it, the second ends it at once."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from langgraph.runtime import RunControl

Listen = Callable[[dict[str, Any]], None]
"""Takes the events of a run."""


@contextmanager
def drain_on_signal(control: RunControl, listen: Listen) -> Iterator[None]:
    """Ctrl-C or SIGTERM: finish this step and save; once more: stop at once."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()

    def stop() -> None:
        if control.drain_requested and task is not None:
            task.cancel()
        control.request_drain("signal")
        listen({"node": "", "event": "draining"})

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
