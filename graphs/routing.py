"""Where a run goes next: pure functions from the state to a node's name."""

from typing import Literal

from langchain_core.messages import AIMessage

from nodes.budgets import reached
from nodes.reviews import SEND_BACKS, only_model_objects
from nodes.state import State

Decision = Literal["coder", "budget"]
"""The coder decides; whether it may, where something is used up, is a question of its own."""


def after_planner(state: State) -> Literal["approval", "impossible"]:
    """A task that cannot be done is no plan to approve."""
    return "impossible" if state["gave_up"] else "approval"


def after_approval(state: State) -> Literal[Decision, "deliver"]:
    """A rejected plan is delivered as it is."""
    return "deliver" if state["gave_up"] else _decision(state)


def after_coder(state: State) -> Literal[Decision, "act", "tester", "impossible"]:
    """Calls are carried out; without any, work is handed in, given up, or asked for once more."""
    if state.get("short"):
        return "budget"
    last = state["messages"][-1]
    if isinstance(last, AIMessage) and (last.tool_calls or last.invalid_tool_calls):
        return "act"
    if state["gave_up"]:
        return "impossible"
    return "tester" if isinstance(last, AIMessage) else _decision(state)


def after_act(state: State) -> Literal[Decision, "tester", "impossible"]:
    """The coder sees the answers, unless it handed in or gave up with these calls."""
    if state["gave_up"]:
        return "impossible"
    return "tester" if state["handed_in"] else _decision(state)


def after_tester(state: State) -> Literal[Decision, "reviewer", "deliver"]:
    """Only a passing verdict is reviewed; another attempt while there are any left."""
    return "reviewer" if state["verdict"]["passed"] else _again(state)


def after_reviewer(state: State) -> Literal[Decision, "disputed", "deliver"]:
    """Blocking findings send the work back; the model's alone only so often, and while it can."""
    if not _blocked(state):
        return "deliver"
    is_last = state.get("rejections", 0) > SEND_BACKS or reached(state)
    return "disputed" if is_last and only_model_objects(state["findings"]) else _again(state)


def after_disputed(state: State) -> Literal[Decision, "deliver"]:
    """A person may want another try."""
    return _again(state) if _blocked(state) else "deliver"


def _blocked(state: State) -> bool:
    return any(finding["blocking"] for finding in state["findings"])


def after_impossible(state: State) -> Literal[Decision, "deliver"]:
    """A person may have revived the task."""
    return _again(state)


def after_budget(state: State) -> Literal[Decision, "tester", "deliver"]:
    """More was granted; or the run ends, with a verdict on work in hand if there is time."""
    if not state["gave_up"]:
        return _decision(state)
    has_time = state.get("spent", "") in {"tokens", "usd"}
    in_hand = state["steps"] and not state["handed_in"] and has_time
    return "tester" if in_hand else "deliver"


def _again(state: State) -> Literal[Decision, "deliver"]:
    return "deliver" if state["gave_up"] else _decision(state)


def _decision(state: State) -> Decision:
    return "budget" if reached(state) else "coder"
