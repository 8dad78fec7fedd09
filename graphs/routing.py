"""Where a run goes next: pure functions from the state to a node's name."""

from collections.abc import Callable
from typing import Literal

from langchain_core.messages import AIMessage
from langgraph.graph import END
from langgraph.types import Send

from nodes.budgets import reached
from nodes.candidates import begun
from nodes.reviews import SEND_BACKS, only_model_objects
from nodes.state import State

Decision = Literal["coder", "budget"]
"""The coder decides; whether it may, where something is used up, is a question of its own."""

Beginning = Literal[Decision, "spread"]
"""The first decision may be that of several candidates."""

INNER = ("coder", "act", "tester", END)
"""Where a candidate goes next, who asks nobody and reviews nothing."""


def after_planner(state: State) -> Literal["approval", "impossible"]:
    """A task that cannot be done is no plan to approve."""
    return "impossible" if state["gave_up"] else "approval"


def after_approval(state: State) -> Literal[Beginning, "deliver"]:
    """A rejected plan is delivered as it is."""
    return "deliver" if state["gave_up"] else _beginning(state)


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


def after_impossible(state: State) -> Literal[Beginning, "deliver"]:
    """A person may have revived the task."""
    return "deliver" if state["gave_up"] else _beginning(state)


def after_budget(state: State) -> Literal[Beginning, "tester", "deliver"]:
    """More was granted; or the run ends, with a verdict on work in hand if there is time."""
    if not state["gave_up"]:
        return _beginning(state)
    has_time = state.get("spent", "") in {"tokens", "usd"}
    return "tester" if _in_hand(state) and has_time else "deliver"


def to_candidates(state: State) -> list[Send]:
    """Each gets the state as it is, and its number."""
    return [Send("candidate", begun(state, number + 1)) for number in range(state["candidates"])]


def after_choose(state: State) -> Literal[Decision, "impossible", "reviewer", "deliver"]:
    """As after the tester or the coder whose work was chosen."""
    if state["gave_up"]:
        return "impossible"
    return after_tester(state) if "verdict" in state else _decision(state)


def within(route: Callable[[State], str]) -> Callable[[State], str]:
    """The same way for a candidate: it ends where anybody else comes next.

    Work in hand gets a verdict when tokens or dollars are used up.
    """

    def routed(state: State) -> str:
        to = route(state)
        limit = reached(state) if to == "budget" else None
        if limit and limit.kind in {"tokens", "usd"} and _in_hand(state):
            return "tester"
        return to if to in INNER else END

    return routed


def after_trial(state: State) -> str:
    """After a candidate's tester: another attempt while any is left, unless nothing objects."""
    accepted = state["verdict"]["passed"] and not _blocked(state)
    return "coder" if not accepted and _again(state) == "coder" else END


def _in_hand(state: State) -> bool:
    return bool(state["steps"]) and not state["handed_in"]


def _again(state: State) -> Literal[Decision, "deliver"]:
    return "deliver" if state["gave_up"] else _decision(state)


def _decision(state: State) -> Decision:
    return "budget" if reached(state) else "coder"


def _beginning(state: State) -> Beginning:
    is_first = not state["attempt"] and not state.get("results")
    several = is_first and state.get("candidates", 1) > 1
    return "spread" if several and not reached(state) else _decision(state)
