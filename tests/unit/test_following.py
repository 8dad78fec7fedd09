"""A run is not held up by whoever follows it."""

import threading
import time
from typing import Any

from nodes import events
from nodes.backlog import BEHIND
from sentient.following import Apart


def test_reader_that_is_slow_delays_nothing_and_misses_only_passing_events() -> None:
    seen: list[dict[str, Any]] = []
    reading = threading.Event()

    def slow(event: dict[str, Any]) -> None:
        reading.wait()
        seen.append(event)

    begun = time.monotonic()
    with Apart(slow) as listen:
        for number in range(3 * BEHIND):
            listen(events.Tokens(text=str(number)).model_dump())
        listen(events.Finished(seconds=1).model_dump())
        assert time.monotonic() - begun < 5
        reading.set()
    assert [event["event"] for event in seen[-3:]] == ["tokens", "dropped", "finished"]
    told = [event for event in seen if event["event"] == "tokens"]
    assert BEHIND <= len(told) <= BEHIND + 1
    assert len(told) + sum(event.get("count", 0) for event in seen) == 3 * BEHIND
