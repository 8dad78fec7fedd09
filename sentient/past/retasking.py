"""Another task for work that has begun: where it can be given, and what the coder is told."""

import uuid

from langchain_core.messages import HumanMessage

from nodes.plans import with_goal
from nodes.state import State
from sentient.past.timeline import Moment, Timeline
from tools.errors import UsageError

OPEN = frozenset({"planner", "approval", "spread", "coder"})
"""Nodes to come that take a task up; after them the work of the old one is under way."""


def with_task(values: State, task: str, timeline: Timeline, moment: Moment) -> State:
    """The state with another task: the plan's goal too, and told to a coder that is at work.

    Raises:
        UsageError: the next node carries out or judges what the coder decided for the old task.
    """
    if not OPEN.issuperset(moment.next):
        before = next((m for m in timeline.ancestry(moment) if m.next and {*m.next} <= OPEN), None)
        hint = f"the last one before it that does: {timeline.short(before.id)}" if before else ""
        short, coming = timeline.short(moment.id), " + ".join(moment.next)
        raise UsageError(
            f"checkpoint {short} cannot take another task: {coming} comes next", hint=hint
        )
    changed: State = {**values, "task": task, "contested": None, "rejections": 0}
    if "plan" in values:
        changed["plan"] = with_goal(values["plan"], task)
    if values.get("attempt") and values.get("messages"):
        told = HumanMessage(f"The task is now: {task}", id=str(uuid.uuid4()))
        changed["messages"] = [*values["messages"], told]
    return changed
