"""What waits for a reader of a run's stream: bounded, and nothing that counts is lost."""

import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from nodes.events import EVENTS, Dropped

BEHIND = 1000
"""Passing events that may wait for a reader; from then on they are dropped, and counted."""


class Backlog:
    """Items of a stream in their order. Not safe for several threads at once.

    Where passing events had to be dropped there is one event `dropped` in their place. Whatever
    else there is, other modes of the stream included, is kept: a run is bounded in that.
    """

    def __init__(self) -> None:
        self._items: deque[Any] = deque()
        self._passing = 0
        self._gap: dict[str, Any] | None = None

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: Any) -> None:
        """Take an item in; whatever the reader does, it costs the same time."""
        passing = _is_passing(_event(item))
        # a gap ends when there is room for many: one large gap tells more than many small ones
        if passing and self._passing >= (BEHIND // 2 if self._gap else BEHIND):
            self._drop(item)
            return
        self._gap = None
        self._passing += passing
        self._items.append(item)

    def take(self) -> Any:
        """The next item; there has to be one."""
        item = self._items.popleft()
        event = _event(item)
        self._passing -= _is_passing(event)
        if event is self._gap:
            self._gap = None  # it is the reader's now
        return item

    def _drop(self, item: Any) -> None:
        if self._gap is None:
            self._gap = Dropped(count=0, at=round(time.time(), 3)).model_dump()
            self._items.append(_with_event(item, self._gap))
        self._gap["count"] += 1


def _event(item: Any) -> Any:
    """An event as each form of LangGraph's stream wraps it: as it is, `(mode, event)`, a part."""
    if isinstance(item, tuple) and item:
        return item[-1]
    if isinstance(item, Mapping) and item.get("type") == "custom":
        return item.get("data")
    return item


def _with_event(item: Any, event: dict[str, Any]) -> Any:
    if isinstance(item, tuple):
        return (*item[:-1], event)
    return event if "event" in item else {**item, "data": event}


def _is_passing(event: Any) -> bool:
    kind = EVENTS.get(str(event.get("event"))) if isinstance(event, Mapping) else None
    return kind is not None and kind.PASSING
