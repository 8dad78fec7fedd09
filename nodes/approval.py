"""Approval: a person may read, change or refuse the plan; a node of its own, without effects."""

from typing import Any

from langgraph.types import interrupt

from nodes.context import Step, Update
from nodes.state import State


async def approval(state: State, step: Step) -> Update:
    """Interrupts with the plan when `approve` is set; resume with "approve", "reject" or a goal.

    An answer that is none of these is asked for again; it does not spoil the thread.
    """
    if not state.get("approve"):
        return {}
    question: dict[str, Any] = {"question": "approve this plan?", "plan": state["plan"]}
    while not isinstance(answer := interrupt(question), str) or not answer.strip():
        question["problem"] = f"{answer!r} is not an answer: approve, reject or a goal in words"
    match answer.strip():
        case "approve":
            return {}
        case "reject":
            return {"gave_up": "the plan was rejected"}
        case goal:
            step.emit("plan", goal=goal, suspects=state["plan"]["suspects"])
            return {"plan": {**state["plan"], "goal": goal}, "task": goal}
