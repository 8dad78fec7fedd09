"""How a command shows a run: listeners that the run does not wait for."""

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from nodes.backlog import Backlog
from sentient.draining import Listen
from sentient.progress import Progress
from sentient.streams import ReaderGoneError, abandon

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
        self._backlog, self._news, self._over = Backlog(), threading.Condition(), False
        self._thread = threading.Thread(target=self._tell, daemon=True)

    def __call__(self, event: dict[str, Any]) -> None:
        """Take an event; returns at once."""
        with self._news:
            self._backlog.put(event)
            self._news.notify()

    def _tell(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._backlog or self._over)
                if not self._backlog:
                    return
                event = self._backlog.take()
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
        with self._news:
            self._over = True
            self._news.notify()
        self._thread.join(PATIENCE_S)


def print_line(event: dict[str, Any]) -> None:
    """Write an event to stdout as one line of JSON; when nobody reads any more, nowhere."""
    try:
        sys.stdout.write(json.dumps(event, default=str) + "\n")
        sys.stdout.flush()
    except (ReaderGoneError, OSError):
        abandon(sys.stdout)
