"""`sentient history`: a line for every checkpoint of a thread, for people and for programs."""

import shutil
from datetime import UTC, datetime
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.console import Console

from nodes.state import LISTED_TESTS, State
from sentient.past.lanes import draw_lanes
from sentient.past.timeline import Moment, Timeline
from sentient.text import plural, printable

TITLES = ("CHECKPOINT", "NODE", "TRY", "FAIL", "CHANGED", "SNAPSHOT", "AGE", "SIZE")
RIGHT = (False, False, False, True, True, False, False, True, True)
"""Which columns are aligned to the right; the first are the branches."""

SHORTENED = {5: 7, 2: 12}
"""Columns that give way on a narrow terminal, CHANGED before NODE, and to what width."""

WIDE = 110
"""Columns from which names of files and whole snapshot ids are shown."""

MADE = {"fork": "fork: ", "update": "edit: "}
"""What a line says of a checkpoint that no node made."""


def failing_tests(state: State) -> list[str] | None:
    """Tests that failed when they last ran: in the last verdict, else as the planner found them."""
    if verdict := state.get("verdict"):
        return list(dict.fromkeys([*verdict["still_failing"], *verdict["regressions"]]))
    return state["baseline"]["failing"] if "baseline" in state else None


def history_rows(timeline: Timeline, limit: int) -> list[dict[str, Any]]:
    """The newest checkpoints as plain data, newest first; no limit when it is 0."""
    current = {moment.id for moment in timeline.ancestry(timeline.latest)}
    return [
        {
            "checkpoint": moment.id,
            "parent": moment.parent,
            "node": moment.node,
            "next": list(moment.next),
            "source": moment.source,
            "taken_from": moment.origin,
            "on_current_branch": moment.id in current,
            "asks": _asks(timeline, moment),
            "attempt": moment.values.get("attempt", 0),
            "failing": failing_tests(moment.values),
            "changed": moment.values.get("changed", []),
            "changed_count": moment.values.get("changed_count"),
            "snapshot": moment.snapshot,
            "created": moment.created.isoformat(),
            "bytes": moment.size,
            "bytes_are": "stored" if timeline.sizes_are_stored else "serialised",
        }
        for moment in timeline.moments[: limit or None]
    ]


def print_history(timeline: Timeline, limit: int, console: Console) -> None:
    """Write the table, as wide as the terminal; a pipe gets the wide form."""
    width = shutil.get_terminal_size((140, 24)).columns
    wide, now = width >= WIDE, datetime.now(UTC)
    shown = timeline.moments[: limit or None]
    rows = [("", *TITLES)] + [
        (lane, *map(printable, _cells(timeline, moment, now, wide=wide)))
        for lane, moment in zip(draw_lanes(timeline), shown, strict=False)
    ]
    for line in _aligned(rows, width, "  " if wide else " "):
        console.print(line, markup=False, soft_wrap=True)
    size = "bytes in the database" if timeline.sizes_are_stored else "bytes as serialised"
    count = plural(len(timeline.moments), "checkpoint")
    part = f"{len(shown)} of " if len(shown) < len(timeline.moments) else ""
    console.print(f"[dim]{part}{count}, newest first; size: {size}[/]", soft_wrap=True)


def _aligned(rows: list[tuple[str, ...]], width: int, gap: str) -> list[str]:
    """Each row as a line; what does not fit is taken from the columns that can be `SHORTENED`."""
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    excess = sum(widths) + len(gap) * (len(widths) - 1) - width
    for column, least in SHORTENED.items():
        cut = min(max(0, excess), max(0, widths[column] - least))
        widths[column] -= cut
        excess -= cut
    return [gap.join(_fitted(*cell) for cell in zip(row, widths, RIGHT, strict=True)).rstrip()
            for row in rows]  # fmt: skip


def _fitted(text: str, width: int, right: bool) -> str:
    if cell_len(text) > width:
        return set_cell_size(text, width - 1) + "…"
    padding = " " * (width - cell_len(text))
    return padding + text if right else text + padding


def _cells(timeline: Timeline, moment: Moment, now: datetime, *, wide: bool) -> tuple[str, ...]:
    failing = failing_tests(moment.values)
    more = "+" if failing and len(failing) >= LISTED_TESTS else ""
    snapshot = moment.snapshot if wide else moment.snapshot.removeprefix("snapshot-")[:8]
    return (
        timeline.short(moment.id),
        _what(timeline, moment),
        str(moment.values.get("attempt") or ""),
        "" if failing is None else f"{len(failing)}{more}",
        _changed(moment.values, wide=wide),
        snapshot or "none",
        short_time((now - moment.created).total_seconds()),
        f"{moment.size / 1000:.1f} kB",
    )


def _what(timeline: Timeline, moment: Moment) -> str:
    coming = " + ".join("start" if name == "__start__" else name for name in moment.next)
    asks = " asks" if _asks(timeline, moment) else ""
    arrow = f" → {coming}{asks}" if coming else ""
    return f"{MADE.get(moment.source, '')}{moment.node}{arrow}"


def _asks(timeline: Timeline, moment: Moment) -> bool:
    """Whether a question asked here is still open: nothing was built on it."""
    return moment.waits and all(other.parent != moment.id for other in timeline.moments)


def _changed(state: State, *, wide: bool) -> str:
    names, count = state.get("changed", []), state.get("changed_count", 0)
    if count is None:
        return "unknown"
    if not count:
        return ""
    if wide or count == 1:
        return ", ".join(names) + (f" and {count - len(names)} more" if count > len(names) else "")
    return plural(count, "file")


def short_time(seconds: float) -> str:
    """A duration in its largest unit, rounded down: `42 s`, `7 min`, `3 h`, `12 d`."""
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, int(seconds))} s"
