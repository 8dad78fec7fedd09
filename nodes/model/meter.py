"""What one step uses of a model, and what it may still use."""

import json
import math
import time
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.runnables import Runnable, RunnableBinding

from nodes.budgets import BudgetReachedError, answer_room, limits
from nodes.model.prices import cost_of
from nodes.state import NO_USAGE, State, Usage, add_roles, add_usage
from tools.errors import ModelUnavailableError, UsageError

MOST = 10**12
"""Tokens of one call; an endpoint that says more is not believed."""


class Meter:
    """Counts one step's calls. What a step used is in the state only when it has ended."""

    def __init__(self, state: State, role: str) -> None:
        self._state, self._role = state, role
        self._begun = time.monotonic()
        self.used = NO_USAGE

    def now(self) -> State:
        """The state as it would be if the step ended now."""
        state = self._state
        used = {self._role: self.used} if self.used["calls"] else {}
        return {
            **state,
            "usage": add_usage(state.get("usage") or NO_USAGE, self.used),
            "roles": add_roles(state.get("roles", {}), used),
            "worked": state.get("worked", 0.0) + time.monotonic() - self._begun,
        }

    def update(self) -> dict[str, Any]:
        """What the thread has paid for, as the state is to have it."""
        now = self.now()
        if not now["usage"]["calls"]:
            return {}
        inherited = now.get("inherited", {})
        return {"usage": now["usage"], "roles": now["roles"], "inherited": inherited}

    def answer_room(self, asked: int, wanted: int) -> int:
        """Tokens that the next answer may have, at most `wanted`.

        Raises:
            BudgetReachedError: the call does not fit.
        """
        return int(min(wanted, answer_room(self.now(), self._role, asked)))

    def seconds_left(self) -> float:
        """Seconds that the next call may take, its repetitions included."""
        left = (item.left for item in limits(self.now(), self._role) if item.kind == "seconds")
        return min(left, default=math.inf)

    def out_of_time(self, error: ModelUnavailableError, patience_s: float) -> Exception:
        """Why the model was not asked once more: the run's time, or the endpoint itself."""
        for limit in limits(self.now(), self._role):
            if limit.kind == "seconds" and limit.left < patience_s:
                return BudgetReachedError(limit, f": {error.args[0]}")
        return error

    def count(
        self, answer: AIMessage, asked: int, seconds: float, retries: int = 0
    ) -> tuple[Usage, bool]:
        """Add a call; returns what it used, and whether the endpoint said so.

        What an endpoint does not say is estimated.

        Raises:
            UsageError: tokens or dollars are bound, and the first answer comes uncounted.
        """
        told = answer.usage_metadata
        said = told is not None and told["input_tokens"] > 0
        if told is None or not said:
            self._refuse_uncounted()
            counts = (asked, count_tokens_approximately([answer]), 0)
        else:
            details = told.get("input_token_details") or {}
            counts = told["input_tokens"], told["output_tokens"], details.get("cache_read") or 0
        given, taken, cached = (min(max(0, count), MOST) for count in counts)
        usage = Usage(
            calls=1,
            input_tokens=given,
            output_tokens=taken,
            cached_tokens=min(cached, given),
            estimated=int(not said),
            retries=retries,
            seconds=round(seconds, 3),
            usd=None,
        )
        usage["usd"] = cost_of(self._state.get("price"), usage)
        self.used = add_usage(self.used, usage)
        return usage, said

    def _refuse_uncounted(self) -> None:
        if self.now()["usage"]["calls"]:
            return
        for limit in limits(self._state, self._role):
            if limit.kind != "seconds" and (limit.kind == "tokens" or any(self._prices())):
                raise UsageError(
                    f"the model endpoint counts no tokens, so {limit.bound:g} {limit.kind} as a "
                    "bound cannot hold",
                    hint="bound the run by --max-seconds or --max-attempts instead",
                )

    def _prices(self) -> list[float]:
        price = self._state.get("price")
        return [price["input"], price["output"]] if price else [1.0]


def request_tokens(model: Runnable[Any, Any], messages: list[BaseMessage]) -> int:
    """About how many tokens a request has, with what is bound to the model."""
    bound = model.kwargs if isinstance(model, RunnableBinding) else {}
    extra = len(json.dumps(bound, default=str)) // 4 if bound else 0
    return count_tokens_approximately(messages) + extra
