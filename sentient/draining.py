"""Ctrl-C, SIGTERM and SIGHUP to a run: the first drains it, the next ends the command at once."""

import signal
import time
from collections.abc import Callable
from typing import Any

from langgraph.runtime import RunControl

from nodes.events import Draining
from sentient.signals import Stop

Listen = Callable[[dict[str, Any]], None]
"""Takes the events of a run."""


class Drain(Stop):
    """Runs a thread; the first signal asks `control` to drain, which finishes the super-step.

    The next one cancels the work, as the first does in a pause of the run: nothing is at work then
    that could be finished.
    """

    def __init__(self, listen: Listen, hint: str = "") -> None:
        super().__init__(hint)
        self.control = RunControl()
        self._listen = listen
        self._pause_end = 0.0

    def tell(self, event: dict[str, Any]) -> None:
        """Pass an event of the run on to the listener."""
        waits = event["event"] == "waiting" and not event["candidate"]  # others may be at work
        self._pause_end = time.monotonic() + event["seconds"] if waits else 0.0
        self._listen(event)

    def _may_finish(self) -> bool:
        if self.control.drain_requested or time.monotonic() < self._pause_end:
            return False
        self.control.request_drain(signal.Signals(self.number).name)
        self._listen(Draining(at=round(time.time(), 3)).model_dump())
        return True
