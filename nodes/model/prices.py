"""What a model's tokens cost, in US dollars per million.

The table is OpenAI's list prices (standard tier, short contexts) as quoted in public in 2026-06;
https://developers.openai.com/api/docs/pricing has today's. A bill is the endpoint's, never ours:
whoever knows better sets SENTIENT_PRICE_IN and SENTIENT_PRICE_OUT.
"""

import re

from nodes.state import Price, State, Usage
from tools.errors import UsageError
from tools.settings import NO_MODEL, Settings

LIST_PRICES: dict[str, tuple[float, float, float]] = {
    "gpt-5.5": (5.00, 0.50, 30.00),
    "gpt-5.4": (2.50, 0.25, 15.00),
    "gpt-5.4-mini": (0.75, 0.075, 4.50),
    "gpt-5.4-nano": (0.20, 0.02, 1.25),
    "gpt-5.1": (1.25, 0.125, 10.00),
    "gpt-5": (1.25, 0.125, 10.00),
    "gpt-5-mini": (0.25, 0.025, 2.00),
    "gpt-5-nano": (0.05, 0.005, 0.40),
    "gpt-4.1": (2.00, 0.50, 8.00),
    "gpt-4.1-mini": (0.40, 0.10, 1.60),
    "gpt-4.1-nano": (0.10, 0.025, 0.40),
    "gpt-4o": (2.50, 1.25, 10.00),
    "gpt-4o-mini": (0.15, 0.075, 0.60),
    "o3": (2.00, 0.50, 8.00),
    "o4-mini": (1.10, 0.275, 4.40),
}
"""Input, cached input, output, by the model's name without its date."""

DATE = re.compile(r"-\d{4}-\d{2}-\d{2}$")


def price_of(settings: Settings, model: str, given: State) -> Price | None:
    """What the run's input says, else the settings, else the list; None where nothing is known.

    Raises:
        UsageError: only one of the two prices is given.
    """
    if model == NO_MODEL:
        return Price(input=0.0, cached=0.0, output=0.0)
    for asked, answered in (
        (given.get("price_in"), given.get("price_out")),
        (settings.price_in, settings.price_out),
    ):
        if (asked is None) != (answered is None):
            raise UsageError("only one of the prices of input and output is given", hint=HOW)
        if asked is not None and answered is not None:
            return Price(input=asked, cached=asked, output=answered)
    listed = LIST_PRICES.get(DATE.sub("", model)) if settings.is_openai else None
    return Price(input=listed[0], cached=listed[1], output=listed[2]) if listed else None


NO_PRICE = "a bound in dollars needs a price"
HOW = (
    "say what a million tokens cost: --price-in and --price-out, or SENTIENT_PRICE_IN and "
    "SENTIENT_PRICE_OUT; 0 for a model that costs nothing"
)


def cost_of(price: Price | None, usage: Usage) -> float | None:
    """Dollars, None without a price: what is not known is never 0."""
    if price is None:
        return None
    cached = usage["cached_tokens"]
    asked = (usage["input_tokens"] - cached) * price["input"] + cached * price["cached"]
    return (asked + usage["output_tokens"] * price["output"]) / 1e6
