"""How a command shows a run: listeners that the run does not wait for."""

import json
import queue
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from nodes.events import EVENTS
from sentient.progress import Progress
from sentient.signals import Listen
from sentient.streams import ReaderGoneError, abandon

BEHIND = 1000
"""Events that may wait for a reader; from then on those that a later one makes up for are lost."""

PATIENCE_S = 5.0
"""How long a run that has ended waits for a reader who does not read."""


@dataclass(frozen=True)
class Style:
    """How a run is shown: its live view, and what stdout gets."""

    verbose: bool = False
    jsonl: bool = False
    json: bool = False


@contextmanager
def following(style: Style) -> Iterator[Listen]:
    """Show what the yielded listener is told until the block ends."""
    with ExitStack() as stack:
        progress = Progress(quiet=style.json or style.jsonl, verbose=style.verbose)
        listeners = [stack.enter_context(Apart(stack.enter_context(progress)))]
        if style.jsonl:
            listeners.append(stack.enter_context(Apart(print_line)))

        def tell(event: dict[str, Any]) -> None:
            for listener in listeners:
                listener(event)

        yield tell


class Apart:
    """Tells a listener in a thread; a slow one misses passing events and delays nothing."""

    def __init__(self, listen: Listen) -> None:
        self._listen = listen
        self._waiting: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._tell, daemon=True)

    def __call__(self, event: dict[str, Any]) -> None:
        """Take an event; returns at once."""
        kind = EVENTS.get(event["event"])
        if kind is None or not kind.PASSING or self._waiting.qsize() < BEHIND:
            self._waiting.put(event)

    def _tell(self) -> None:
        while (event := self._waiting.get()) is not None:
            self._listen(event)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._waiting.put(None)
        self._thread.join(PATIENCE_S)


def print_line(event: dict[str, Any]) -> None:
    """Write an event to stdout as one line of JSON; when nobody reads any more, nowhere."""
    try:
        sys.stdout.write(json.dumps(event, default=str) + "\n")
        sys.stdout.flush()
    except (ReaderGoneError, OSError):
        abandon(sys.stdout)
