"""The branches of a thread, drawn beside a list of its checkpoints, as `git log --graph` does."""

from collections.abc import Set

from sentient.past.timeline import Timeline

CURRENT, ABANDONED, PASSING, ENDS, LEADS = "●", "○", "│", "╯", "─"


def draw_lanes(timeline: Timeline) -> list[str]:
    """A mark for every checkpoint, newest first: filled ones led to where the thread is.

    A branch has a lane of its own until the line of the checkpoint that it left from.
    """
    current = {moment.id for moment in timeline.ancestry(timeline.latest)}
    awaited: list[str] = []
    lines = []
    for moment in timeline.moments:
        arriving = {lane for lane, parent in enumerate(awaited) if parent == moment.id}
        if not arriving:
            arriving = {awaited.index("")} if "" in awaited else {len(awaited)}
        own = min(arriving)
        awaited += [""] * (own + 1 - len(awaited))
        mark = CURRENT if moment.id in current else ABANDONED
        lines.append(_line(awaited, own, arriving, mark))
        for lane in arriving:
            awaited[lane] = moment.parent if lane == own else ""
        while awaited and not awaited[-1]:
            awaited.pop()
    return lines


def _line(awaited: list[str], own: int, arriving: Set[int], mark: str) -> str:
    last = max(arriving)
    cells = []
    for lane, parent in enumerate(awaited):
        filler = LEADS if own <= lane < last else " "
        if lane == own:
            cells.append(mark + filler)
        elif lane in arriving:
            cells.append(ENDS + filler)
        elif parent:
            cells.append(PASSING + filler)
        else:
            cells.append((LEADS if own < lane < last else " ") + filler)
    return "".join(cells).rstrip()
