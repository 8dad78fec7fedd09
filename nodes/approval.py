"""Approval: a person may read, change or refuse the plan; a node of its own, without effects."""

from typing import Any

from langgraph.types import interrupt

from nodes.context import Step, Update
from nodes.state import State
from tools.errors import UsageError


async def approval(state: State, step: Step) -> Update:
    """Interrupts with the plan when `approve` is set; resume with "approve", "reject" or a goal."""
    if not state.get("approve"):
        return {}
    answer: Any = interrupt({"question": "approve this plan?", "plan": state["plan"]})
    if answer == "approve":
        return {}
    if answer == "reject":
        return {"gave_up": "the plan was rejected"}
    if isinstance(answer, str) and answer.strip():
        step.emit("plan", goal=answer.strip(), suspects=state["plan"]["suspects"])
        return {"plan": {**state["plan"], "goal": answer.strip()}, "task": answer.strip()}
    raise UsageError(f"{answer!r} is not an answer: 'approve', 'reject' or a new goal in words")
