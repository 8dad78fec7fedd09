"""Ctrl-C, SIGTERM and SIGHUP: the first drains a run, the next ends the command at once."""

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from langgraph.runtime import RunControl

from nodes.events import Draining
from sentient.streams import Forgiving

Listen = Callable[[dict[str, Any]], None]
"""Takes the events of a run."""

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

PATIENCE_S = 3.0
"""How long a command that is ended at once may tidy up before the process is ended under it."""

T = TypeVar("T")


class StoppedError(Exception):
    """A signal ended the command before its work was done."""

    def __init__(self, number: int, hint: str = "") -> None:
        super().__init__(f"stopped at once by {signal.Signals(number).name}{hint}")
        self.exit_code = code_of(number)


def code_of(number: int) -> int:
    """What shells say of a program that a signal ended."""
    return 128 + number


class Stop:
    """Runs the work of one command and is told of the signals that arrive meanwhile.

    With a `listen`er the first signal asks `control` to drain, which finishes the super-step, and
    the next cancels the work. Without one, the first cancels it, as it does in a pause of the run:
    nothing is at work then that could be finished.
    """

    def __init__(self, listen: Listen | None = None, hint: str = "") -> None:
        self.control, self.number = RunControl(), 0
        self._listen, self._hint = listen, hint
        self._pause_end = 0.0

    def tell(self, event: dict[str, Any]) -> None:
        """Pass an event of the run on to the listener."""
        waits = event["event"] == "waiting" and not event["candidate"]  # others may be at work
        self._pause_end = time.monotonic() + event["seconds"] if waits else 0.0
        if self._listen is not None:
            self._listen(event)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` to its end.

        Raises:
            StoppedError: signals cancelled it.
        """
        try:
            return asyncio.run(self._guarded(work))
        except asyncio.CancelledError:
            raise StoppedError(self.number or signal.SIGINT, self._hint) from None

    async def _guarded(self, work: Coroutine[Any, Any, T]) -> T:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        # what our parent has us ignore (nohup, a background job) stays ignored
        heard = [one for one in ENDING if signal.getsignal(one) is not signal.SIG_IGN]
        for one in heard:
            loop.add_signal_handler(one, self._received, one, task)
        try:
            return await work
        finally:
            for one in heard:
                loop.remove_signal_handler(one)

    def _received(self, number: int, task: "asyncio.Task[Any] | None") -> None:
        self.number = number
        is_pausing = time.monotonic() < self._pause_end
        if self._listen and not self.control.drain_requested and not is_pausing:
            self.control.request_drain(signal.Signals(number).name)
            self._listen(Draining(at=round(time.time(), 3)).model_dump())
            return
        self._end_soon()
        if task is not None:
            task.cancel()

    def _end_soon(self) -> None:
        """A thread that packs a folder cannot be cancelled, and would be waited for."""
        timer = threading.Timer(PATIENCE_S, self._end)
        timer.daemon = True
        timer.start()

    def _end(self) -> None:
        shown = "\x1b[?25h" if sys.stderr.isatty() else ""  # a spinner hides the cursor
        error = StoppedError(self.number, self._hint)
        Forgiving(sys.stderr).write(f"{shown}sentient: {error}\n")
        os._exit(error.exit_code)
