"""Ctrl-C, SIGTERM and SIGHUP: a command ends at once, in words, with nothing left behind."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from sentient.streams import Forgiving

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
    """Runs the work of one command; the first signal that arrives meanwhile cancels it."""

    def __init__(self, hint: str = "") -> None:
        self.number = 0
        """The signal that came, the last if several did."""
        self._hint = hint

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
        if self._may_finish():
            return
        self._end_soon()
        if task is not None:
            task.cancel()

    def _may_finish(self) -> bool:
        """Whether the work goes on after the signal; it knows of it then."""
        return False

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
