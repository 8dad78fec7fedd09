"""Signals to a command that runs a thread: what ends at once, and what is finished first."""

import asyncio
import os
import signal
from typing import Any

import pytest

from nodes.events import Waiting
from sentient.draining import Drain
from sentient.signals import Stop, StoppedError


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three seconds after it ended a command at once it ends the process, which is ours."""
    monkeypatch.setattr(Stop, "_end_soon", lambda _: None)


def waiting(seconds: float, candidate: int = 0) -> dict[str, Any]:
    return Waiting(reason="rate limit", seconds=seconds, candidate=candidate).model_dump()


def told(*events: dict[str, Any]) -> list[str]:
    """What the listener of a run hears that tells `events`, gets SIGTERM, and ends if it may."""
    heard: list[str] = []
    stop = Drain(lambda event: heard.append(event["event"]))

    async def work() -> None:
        for event in events:
            stop.tell(event)
        os.kill(os.getpid(), signal.SIGTERM)
        while not stop.control.drain_requested:
            await asyncio.sleep(0.001)

    stop.run(work())
    return heard


def test_signal_in_a_pause_ends_the_run_at_once() -> None:
    with pytest.raises(StoppedError, match="stopped at once by SIGTERM"):
        told(waiting(600))


@pytest.mark.parametrize(
    "events",
    [[], [waiting(0)], [waiting(600), {"event": "started"}], [waiting(600, candidate=2)]],
    ids=["at work", "pause over", "pause cut short", "of one candidate"],
)
def test_signal_at_work_lets_the_step_end(events: list[dict[str, Any]]) -> None:
    assert told(*events)[-1] == "draining"
