"""What a run is expected to tell, however it is followed."""

from collections.abc import Iterable, Mapping
from typing import Any

from nodes.events import EVENTS, parse_event


def milestones(events: Iterable[Mapping[str, Any]]) -> list[str]:
    """The events of a run that a slow reader gets too, each checked to be of the vocabulary."""
    told = [parse_event(event) for event in events]
    return [f"{event.node} {event.event}" for event in told if not EVENTS[event.event].PASSING]


CALCULATOR_MILESTONES = [
    *("prepare started", "prepare packing", "prepare desktop", "prepare repository"),
    *("prepare finished", "planner started", "planner analysis", "planner baseline"),
    *("planner plan", "planner finished", "approval started", "approval finished"),
    *("coder started", "coder repair", "coder searched", "coder finished"),
    *("act started", "act answer", "act finished", "tester started", "tester verdict"),
    *("tester finished", "reviewer started", "reviewer review", "reviewer finished"),
    *("deliver started", "deliver report", "deliver finished"),
]
"""An undisturbed run of the engine on the calculator."""
