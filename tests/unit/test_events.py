"""The vocabulary of events: documented as it is, and bounded whatever a desktop or model says."""

import json

import pytest
from pydantic import ValidationError
from samples import ROOT

from nodes import events
from nodes.events import EVENTS, Event, parse_event


def test_events_documentation_lists_each_with_its_fields() -> None:
    rows = [line for line in (ROOT / "docs/events.md").read_text().splitlines() if "| `" in line]
    written = [(row.split("|")[1].strip(), row.split("|")[3].strip()) for row in rows]
    assert written == [
        (
            f"`{name}`" + (" *" if kind.PASSING else ""),
            ", ".join(
                f"`{field}`"
                for field in kind.model_fields
                if field != "event" and field not in Event.model_fields
            ),
        )
        for name, kind in EVENTS.items()
    ]


def test_event_of_hostile_texts_is_small_and_can_be_sent() -> None:
    call = events.Call(name="n\ud800" * 10_000, args={f"k{n}": "v" * 10_000 for n in range(1000)})
    sent = json.dumps(call.model_dump()).encode()
    assert len(sent) < 6000
    assert parse_event(json.loads(sent)).event == "call"


@pytest.mark.parametrize(
    "given",
    [
        {"event": "no such", "node": ""},
        {"event": "tests", "kind": "baseline", "total": 10**30},
        {"event": "tests", "kind": "baseline", "done": -1},
        {"event": "finished", "seconds": float("nan")},
        {"event": "started", "surprise": 1},
        {"event": "started", "version": 2},
    ],
)
def test_event_outside_the_vocabulary_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        parse_event(given)
