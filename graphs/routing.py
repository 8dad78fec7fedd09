"""Where a run goes next: pure functions from the state to a node's name."""

from typing import Literal

from langchain_core.messages import AIMessage

from nodes.state import State


def after_approval(state: State) -> Literal["coder", "deliver"]:
    """A rejected plan is delivered as it is."""
    return "deliver" if state["gave_up"] else "coder"


def after_coder(state: State) -> Literal["act", "tester", "deliver"]:
    """Calls are carried out; a decision without any hands the work in, or gives it up."""
    last = state["messages"][-1]
    if isinstance(last, AIMessage) and (last.tool_calls or last.invalid_tool_calls):
        return "act"
    return "deliver" if state["gave_up"] else "tester"


def after_act(state: State) -> Literal["coder", "tester", "deliver"]:
    """The coder sees the answers, unless it handed in or gave up with these calls."""
    if state["gave_up"]:
        return "deliver"
    return "tester" if state["handed_in"] else "coder"


def after_tester(state: State) -> Literal["reviewer", "coder", "deliver"]:
    """Only a passing verdict is reviewed; another attempt while there are any left."""
    if state["verdict"]["passed"]:
        return "reviewer"
    return _again_or_deliver(state)


def after_reviewer(state: State) -> Literal["coder", "deliver"]:
    """Blocking findings send the work back."""
    blocked = any(finding["blocking"] for finding in state["findings"])
    return _again_or_deliver(state) if blocked else "deliver"


def _again_or_deliver(state: State) -> Literal["coder", "deliver"]:
    return "coder" if state["attempt"] < state["max_attempts"] else "deliver"
