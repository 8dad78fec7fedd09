"""What a thread has paid for: what its state says, or the ledger where that says more. Pure.

A step's calls are in the state when the step has ended, in the ledger when they were answered. So
the ledger alone has those of steps that failed or were killed, and of what a thread was rewound
behind; the state alone has those of a thread that this one is a copy of, and of a lost ledger.
"""

from collections.abc import Iterable
from typing import Any, cast

from nodes.state import NO_USAGE, State, Usage, add_roles, add_usage

Calls = Iterable[tuple[str, int, Any]]
"""Of each answer: the node that asked, its candidate or 0, and its usage."""


def paid(state: State, thread: str, calls: Calls) -> State:
    """The state with all that was paid for, by the thread or by this candidate of it."""
    state, number = own(state, thread), state.get("candidate", 0)
    found = _recorded(state, (call for call in calls if number in (0, call[1])))
    known, inherited = state.get("roles", {}), state.get("inherited", {})
    roles = {
        role: _more(known.get(role, NO_USAGE), found.get(role, NO_USAGE))
        for role in {**inherited, **known, **found}
    }
    usage = _more(state.get("usage") or NO_USAGE, _sum(roles))
    return {**state, "roles": roles, "usage": usage} if usage["calls"] else state


def before_candidates(state: State, thread: str, calls: Calls) -> State:
    """The state with what was paid for beside candidates, whose calls are counted by each."""
    state = own(state, thread)
    roles = _recorded(state, (call for call in calls if not call[1]))
    return {**state, "roles": roles, "usage": _sum(roles)}


def own(state: State, thread: str) -> State:
    """The state as this thread's: what a copy begins with was paid by the thread it is of."""
    if state.get("owner", thread) == thread:
        return state
    return {**state, "owner": thread, "inherited": state.get("roles", {})}


def _recorded(state: State, calls: Calls) -> dict[str, Usage]:
    roles = state.get("inherited", {})
    for node, _, usage in calls:
        roles = add_roles(roles, {node: cast("Usage", usage)})
    return roles


def _sum(roles: dict[str, Usage]) -> Usage:
    total = NO_USAGE
    for used in roles.values():
        total = add_usage(total, used)
    return total


def _more(left: Usage, right: Usage) -> Usage:
    """The larger of each; a price that either does not know is not known."""
    both = [add_usage(NO_USAGE, left), add_usage(NO_USAGE, right)]  # whole, also where one is old
    unknown = any(used["usd"] is None for used in both)
    more: Any = {name: max(used[name] or 0 for used in both) for name in NO_USAGE}  # type: ignore[literal-required]
    return cast("Usage", more | {"usd": None} if unknown else more)
