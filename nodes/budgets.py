"""What a run may use up: attempts, the model's tokens, seconds of work. Pure."""

import math

from nodes.state import Budget, State


def tokens_used(state: State) -> int:
    """Tokens in and out, of all roles."""
    usage = state.get("usage")
    return usage["input_tokens"] + usage["output_tokens"] if usage else 0


def seconds_left(state: State) -> float:
    """Seconds of work that are left; infinite without a bound."""
    bound = state.get("max_seconds") or math.inf
    return max(0.0, bound - state.get("worked", 0.0))


def model_budget(state: State) -> Budget:
    """The budget that forbids one more call of the model, empty while none does."""
    if not seconds_left(state):
        return "seconds"
    bound = state.get("max_tokens")
    return "tokens" if bound and tokens_used(state) >= bound else ""


def reached(state: State) -> Budget:
    """The budget that forbids the coder's next decision, empty while none does.

    Attempts count only where the next decision would open another one.
    """
    if budget := model_budget(state):
        return budget
    used_up = state["handed_in"] and state["attempt"] >= state["max_attempts"]
    return "attempts" if used_up else ""


def in_words(budget: Budget, state: State) -> str:
    """How a budget was reached, for people; empty for none."""
    match budget:
        case "attempts":
            return f"{state['attempt']} of {state['max_attempts']} attempts are used up"
        case "tokens":
            return f"{tokens_used(state)} of {state['max_tokens']} tokens are used up"
        case "seconds":
            return f"{state['worked']:.0f} of {state['max_seconds']:g} seconds are used up"
        case _:
            return ""
