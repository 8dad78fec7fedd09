"""A thread's timeline: names of checkpoints, branches, alignment; on made-up checkpoints."""

from datetime import UTC, datetime
from typing import Any

import pytest

from sentient.past.history import short_time
from sentient.past.lanes import draw_lanes
from sentient.past.timeline import Moment, Timeline
from tools.errors import UsageError


def timeline(*parents: str) -> Timeline:
    """Checkpoints 0, 1, 2, … with these parents (an index, or nothing), oldest first."""
    moments = [
        moment(f"0000000{n}-aaaa", f"0000000{parent}-aaaa" if parent else "")
        for n, parent in enumerate(parents)
    ]
    return Timeline("t", moments[::-1], sizes_are_stored=True)


def moment(name: str, parent: str = "", **more: Any) -> Moment:
    given: dict[str, Any] = {
        "id": name, "parent": parent, "node": "coder", "next": ("act",), "source": "loop",
        "created": datetime.now(UTC), "values": {}, "writes": (), "origin": "", "size": 1,
    }  # fmt: skip
    return Moment(**{**given, **more})


@pytest.mark.parametrize(
    ("parents", "drawing"),
    [
        (("", "0", "1"), ["●", "●", "●"]),
        (("", "0", "0"), ["●", "│ ○", "●─╯"]),
        (("", "0", "1", "1", "0"), ["●", "│ ○", "│ │ ○", "│ ○─╯", "●─╯"]),
        (("", "0", "0", "0"), ["●", "│ ○", "│ │ ○", "●─╯─╯"]),
        (("", "0", "1", "0", "2"), ["●", "│ ○", "● │", "● │", "●─╯"]),
        (("", "", "0"), ["●", "│ ○", "●"]),
    ],
    ids=["straight", "one branch", "branch of a branch", "two at once", "interleaved", "two roots"],
)
def test_lanes_of_branches(parents: tuple[str, ...], drawing: list[str]) -> None:
    assert draw_lanes(timeline(*parents)) == drawing


def test_find_unique_beginning_whole_id_and_latest() -> None:
    known = timeline("", "0", "1")
    assert known.find("00000001").id == known.find("00000001-aaaa").id == "00000001-aaaa"
    assert known.find("latest").id == "00000002-aaaa"
    assert known.short("00000001-aaaa") == "00000001"


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "no checkpoint ''"),
        ("1", "no checkpoint '1'"),
        ("0", "begins the ids of 12 checkpoints: .*, 00000004 .coder. and 4 more"),
    ],
)
def test_find_other_names_are_refused(name: str, problem: str) -> None:
    known = Timeline(
        "t", [moment(f"{n:08}-aaaa") for n in reversed(range(12))], sizes_are_stored=True
    )
    with pytest.raises(UsageError, match=problem):
        known.find(name)


def test_short_ids_are_as_long_as_it_takes() -> None:
    ids = ("12345678-aaaa-1", "12345678-aaab-1", "22345678-aaaa-1")
    known = Timeline("t", [moment(name) for name in ids], sizes_are_stored=True)
    assert known.digits == len("12345678-aaab")
    assert {known.find(known.short(name)).id for name in ids} == set(ids)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "0 s"), (59.9, "59 s"), (61, "1 min"), (7200, "2 h"), (90_000, "1 d")],
)
def test_short_time_largest_unit(seconds: float, text: str) -> None:
    assert short_time(seconds) == text
