"""What a run may use up: attempts, seconds, and a model's tokens and dollars. Pure.

Bounds hold for the whole run and, where given, for one role's calls of the model. Whether one more
call fits is asked before it is made, with what its request will about cost.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from nodes.model.prices import HOW, NO_PRICE
from nodes.state import NO_USAGE, Budget, Price, State, Usage
from tools.errors import UsageError

ROLES = ("planner", "coder", "reviewer")
"""Roles that may use a model, and be given bounds of their own."""

KINDS: tuple[Budget, ...] = ("seconds", "usd", "tokens")
"""What calls of a model use up."""

SHORTEST_ANSWER = 256
"""Tokens of an answer; a call that cannot afford as many is not made."""


class BudgetReachedError(Exception):
    """One more call of the model does not fit in a budget."""

    def __init__(self, limit: "Limit", why: str) -> None:
        super().__init__(f"{limit}{why}")
        self.limit, self.why = limit, why


@dataclass(frozen=True)
class Limit:
    """A bound and what of it is used, of the run or of one role."""

    kind: Budget
    used: float
    bound: float
    role: str = ""

    @property
    def left(self) -> float:
        """What is left, never below 0."""
        return max(0.0, self.bound - self.used)

    def __str__(self) -> str:
        whose = f"the {self.role}'s " if self.role else ""
        match self.kind:
            case "usd" if math.isinf(self.used):
                return f"what {whose}calls cost is not known, and the bound is ${self.bound:g}"
            case "usd":
                return f"{whose}${self.used:.4f} of ${self.bound:g} are used up"
            case "seconds":
                return f"{whose}{self.used:.0f} of {self.bound:g} seconds are used up"
            case _:
                return f"{whose}{self.used:.0f} of {self.bound:.0f} {self.kind} are used up"


def tokens_of(usage: Usage) -> int:
    """Tokens in and out."""
    return usage["input_tokens"] + usage["output_tokens"]


def seconds_left(state: State) -> float:
    """Seconds of work that are left; infinite without a bound."""
    bound = state.get("max_seconds") or math.inf
    return max(0.0, bound - state.get("worked", 0.0))


def limits(state: State, role: str = "coder") -> Iterator[Limit]:
    """The bounds that a call of the model by this role has to keep, the run's first.

    A sum of which a part has no known price is as good as endless; `prepare` lets no run begin
    with a bound in dollars and no price.
    """
    usage = state.get("usage") or NO_USAGE
    if bound := state.get("max_seconds"):
        yield Limit("seconds", state.get("worked", 0.0), bound)
    if bound := state.get("max_usd"):
        yield Limit("usd", _used(usage, "usd"), bound)
    if bound := state.get("max_tokens"):
        yield Limit("tokens", tokens_of(usage), bound)
    own, bounds = state.get("roles", {}).get(role, NO_USAGE), state.get("role_bounds", {})
    for name, given in bounds.get(role, {}).items():
        kind = cast("Budget", name)
        yield Limit(kind, _used(own, kind), cast("float", given), role)


def _used(usage: Usage, kind: Budget) -> float:
    match kind:
        case "tokens":
            return tokens_of(usage)
        case "usd":
            usd = usage.get("usd") if usage["calls"] else 0.0
            return math.inf if usd is None else usd
        case _:
            return usage.get("seconds", 0.0)


def model_limit(state: State, role: str = "coder") -> Limit | None:
    """The bound that forbids any further call of the model by this role."""
    return next((limit for limit in limits(state, role) if not limit.left), None)


def reached(state: State) -> Limit | None:
    """What forbids the coder's next decision, nothing while it may go on.

    Attempts count only where the next decision would open another one.
    """
    if limit := model_limit(state):
        return limit
    if short := state.get("short"):
        for limit in limits(state):
            if (limit.kind, limit.role) == (short["kind"], short["role"]):
                return limit
    attempts = Limit("attempts", state["attempt"], state["max_attempts"])
    return None if attempts.left or not state["handed_in"] else attempts


def answer_room(state: State, role: str, asked: int) -> float:
    """Tokens that the answer to a request of about `asked` tokens may have, infinite if unbound.

    Raises:
        BudgetReachedError: too few for any answer, or for the request itself.
    """
    room = math.inf
    for limit in limits(state, role):
        fits = _fits(limit, state.get("price"), asked)
        if not limit.left or fits < SHORTEST_ANSWER:
            too_few = f": too few are left for a request of about {asked} tokens"
            raise BudgetReachedError(limit, too_few if limit.left else "")
        room = min(room, fits)
    return room


def _fits(limit: Limit, price: Price | None, asked: int) -> float:
    if limit.kind == "tokens":
        return limit.left - asked
    if limit.kind != "usd":
        return math.inf
    if price is None:
        raise UsageError(NO_PRICE, hint=HOW)
    left = limit.left - asked * price["input"] / 1e6
    if price["output"]:
        return left / price["output"] * 1e6
    return math.inf if left >= 0 else -1.0
