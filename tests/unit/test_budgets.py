"""Bounds of a run and its roles, prices, and what a step's calls count for."""

import math
from typing import Any

import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.messages.ai import UsageMetadata

from nodes.budgets import BudgetReachedError, answer_room, limits, reached
from nodes.model.meter import MOST, Meter, request_tokens
from nodes.model.prices import cost_of, price_of
from nodes.state import NO_USAGE, Price, Usage, add_roles, add_usage
from sentient.run_options import role_bounds
from tools.errors import ModelUnavailableError, UsageError
from tools.settings import Settings

PRICE = Price(input=1.0, cached=0.1, output=2.0)
OLD: Any = {"calls": 2, "input_tokens": 100, "output_tokens": 50}
"""What checkpoints from before prices hold."""


def usage(**values: Any) -> Usage:
    return {**NO_USAGE, "calls": 1, **values}  # type: ignore[typeddict-item,return-value]


def state(**values: Any) -> Any:
    return {"attempt": 1, "max_attempts": 3, "handed_in": False, "price": PRICE, **values}


def test_usage_of_old_checkpoints_is_added_to_and_its_price_stays_unknown() -> None:
    total = add_usage(OLD, usage(input_tokens=1, usd=0.5))
    assert (total["calls"], total["input_tokens"], total["usd"]) == (3, 101, None)
    assert add_usage({}, usage(usd=0.5))["usd"] == 0.5  # type: ignore[typeddict-item]
    assert add_roles({}, {"coder": OLD})["coder"]["calls"] == 2


def test_cost_counts_the_cache_apart_and_is_unknown_without_a_price() -> None:
    used = usage(input_tokens=1_000_000, cached_tokens=500_000, output_tokens=100_000)
    assert cost_of(PRICE, used) == pytest.approx(0.5 + 0.05 + 0.2)
    assert cost_of(None, used) is None


@pytest.mark.parametrize(
    ("configured", "given", "model", "expected"),
    [
        ({}, {}, "gpt-5-mini", (0.25, 0.025, 2.0)),
        ({}, {}, "gpt-5-mini-2025-08-07", (0.25, 0.025, 2.0)),
        ({}, {}, "gpt-99", None),
        ({"openai_base_url": "http://127.0.0.1:8000/v1"}, {}, "gpt-5-mini", None),
        ({"openai_base_url": "https://eu.api.openai.com/v1"}, {}, "o3", (2.0, 0.5, 8.0)),
        ({"price_in": 0.0, "price_out": 0.0}, {}, "llama", (0.0, 0.0, 0.0)),
        ({"price_in": 1, "price_out": 2}, {"price_in": 3, "price_out": 4}, "x", (3, 3, 4)),
        ({}, {}, "none", (0.0, 0.0, 0.0)),
    ],
)
def test_price_is_the_given_else_the_configured_else_the_listed(
    configured: Any, given: Any, model: str, expected: tuple[float, float, float] | None
) -> None:
    price = price_of(Settings(**configured), model, given)
    assert price == (expected and Price(input=expected[0], cached=expected[1], output=expected[2]))


def test_price_of_input_alone_is_refused() -> None:
    with pytest.raises(UsageError, match="only one of the prices"):
        price_of(Settings(price_in=1.0), "x", {})


@pytest.mark.parametrize(
    ("bounds", "asked", "room"),
    [
        ({}, 10**9, math.inf),
        ({"max_tokens": 2000, "usage": usage(input_tokens=500)}, 1000, 500),
        ({"max_usd": 0.01}, 1000, 4500),
        ({"max_usd": 0.01, "price": Price(input=0, cached=0, output=0)}, 10**9, math.inf),
        ({"max_tokens": 2000, "role_bounds": {"coder": {"tokens": 1300}}}, 1000, 300),
        ({"role_bounds": {"reviewer": {"tokens": 1}}}, 1000, math.inf),
    ],
)
def test_room_for_an_answer_is_what_the_request_leaves(
    bounds: dict[str, Any], asked: int, room: float
) -> None:
    assert answer_room(state(**bounds), "coder", asked) == pytest.approx(room)


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        ({"max_tokens": 1000}, "0 of 1000 tokens are used up: too few are left for a request"),
        ({"max_usd": 0.001}, "$0.0000 of $0.001 are used up: too few"),
        (
            {"max_usd": 0.0001, "price": Price(input=1, cached=1, output=0)},
            "$0.0000 of $0.0001 are used up: too few",
        ),
        (
            {"role_bounds": {"coder": {"usd": 1}}, "roles": {"coder": usage(usd=1.5)}},
            "the coder's $1.5000 of $1 are used up",
        ),
        ({"max_seconds": 5, "worked": 5.0}, "5 of 5 seconds are used up"),
        ({"max_usd": 5, "usage": OLD}, "what calls cost is not known, and the bound is $5"),
    ],
)
def test_call_that_does_not_fit_is_not_made_and_says_why(
    bounds: dict[str, Any], words: str
) -> None:
    with pytest.raises(BudgetReachedError) as refused:
        answer_room(state(**bounds), "coder", 1000)
    assert str(refused.value).startswith(words)


def test_bound_in_dollars_without_a_price_is_refused_not_free() -> None:
    with pytest.raises(UsageError, match="needs a price"):
        answer_room(state(max_usd=5, price=None), "coder", 1000)


def test_bound_that_was_too_small_for_a_call_is_reached_until_it_grows() -> None:
    short = {"kind": "tokens", "role": "", "why": ""}
    tight = state(max_tokens=2000, usage=usage(input_tokens=1900), short=short)
    limit = reached(tight)
    assert limit is not None
    assert (limit.kind, limit.left) == ("tokens", 100)
    assert reached({**tight, "short": None}) is None


def answer(**counts: Any) -> AIMessage:
    said = UsageMetadata(**{"total_tokens": 0, **counts}) if counts else None  # type: ignore[typeddict-item]
    return AIMessage("done", usage_metadata=said)


def test_meter_counts_each_call_and_the_cache() -> None:
    meter = Meter(state(roles={"coder": OLD}), "coder")
    details = {"cache_read": 400}
    counted = answer(input_tokens=1000, output_tokens=100, input_token_details=details)
    used, said = meter.count(counted, 900, 1.5)
    assert (said, used["cached_tokens"], used["usd"]) == (True, 400, pytest.approx(0.00084))
    meter.count(counted, 900, 0.5, retries=3)
    assert (meter.used["seconds"], meter.used["retries"]) == (2.0, 3)
    assert meter.update()["roles"]["coder"]["calls"] == 4


def test_meter_estimates_what_is_not_told_and_believes_no_nonsense() -> None:
    meter = Meter(state(), "coder")
    used, said = meter.count(answer(), 900, 1.0)
    assert (said, used["estimated"], used["input_tokens"]) == (False, 1, 900)
    used, _ = meter.count(answer(input_tokens=10**30, output_tokens=-5), 900, 1.0)
    assert (used["input_tokens"], used["output_tokens"]) == (MOST, 0)


@pytest.mark.parametrize("bound", [{"max_tokens": 9000}, {"max_usd": 1.0}])
def test_meter_first_answer_uncounted_under_a_bound_is_refused(bound: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="counts no tokens"):
        Meter(state(**bound), "planner").count(answer(), 900, 1.0)
    later = Meter(state(**bound, usage=usage(input_tokens=5)), "coder")
    assert later.count(answer(), 900, 1.0)[0]["estimated"] == 1
    free = Price(input=0, cached=0, output=0)
    if "max_usd" in bound:
        Meter(state(**{**bound, "price": free}), "planner").count(answer(), 900, 1.0)


def test_meter_run_without_time_blames_the_time_not_the_endpoint() -> None:
    error = ModelUnavailableError("the endpoint says 503")
    assert Meter(state(), "coder").out_of_time(error, 300) is error
    assert Meter(state(max_seconds=900), "coder").out_of_time(error, 300) is error
    found = Meter(state(max_seconds=20, worked=15.0), "coder").out_of_time(error, 5)
    assert isinstance(found, BudgetReachedError)
    assert "15 of 20 seconds are used up: the endpoint says 503" in str(found)


def test_role_bounds_are_read_from_the_command_line() -> None:
    given = role_bounds(["coder:usd=0.5", "reviewer:tokens=100", "coder:seconds=9"])
    assert given == {"coder": {"usd": 0.5, "seconds": 9.0}, "reviewer": {"tokens": 100}}
    assert len([*limits(state(role_bounds=given), "coder")]) == 2
    for wrong in ("coder", "coder:usd", "coder:usd=much", "coder:tokens=0.5"):
        with pytest.raises(UsageError, match="ROLE:KIND=AMOUNT"):
            role_bounds([wrong])


def test_request_tokens_count_the_tools() -> None:
    model = GenericFakeChatModel(messages=iter([]))
    words = [HumanMessage("x" * 4000)]
    assert 1000 <= request_tokens(model, words) < 1020
    assert request_tokens(model.bind(tools=[{"name": "y" * 4000}]), words) > 2000
