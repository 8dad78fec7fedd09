"""Structured answers: every form of request and every kind of malformed answer, over HTTP."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from endpoints import Endpoint, in_steps
from langchain_core.messages import AIMessage, SystemMessage
from langchain_openai import ChatOpenAI
from pydantic import BaseModel
from scripted_model import call, say

from nodes.context import Step
from nodes.model.structured import FORMS, Reply, ask_for, objects_in, read_answer
from nodes.state import State
from tools.errors import ModelRequestError

GOOD = '{"word": "yes", "numbers": [1]}'


class Shape(BaseModel):
    """What is asked for."""

    word: str
    numbers: list[int]


def form_of(request: dict[str, Any]) -> str:
    """Which form a request has, told from what the endpoint sees."""
    if "tools" in request:
        return "function_calling"
    kind = request.get("response_format", {}).get("type", "words")
    return "json_mode" if kind == "json_object" else str(kind)


def refusing(*forms: str) -> Callable[[dict[str, Any]], str]:
    return lambda request: "not supported here" if form_of(request) in forms else ""


def forms(endpoint: Endpoint) -> list[str]:
    return [form_of(request) for request in endpoint.requests]


@pytest.fixture
def asked(tmp_path: Path) -> Callable[..., Any]:
    """Asks an endpoint for a shape, in a node of a graph, `times` times in one process."""

    async def ask(
        endpoint: Endpoint, times: int = 1, given: State | None = None
    ) -> list[Reply[Shape]]:
        replies: list[Reply[Shape]] = []

        async def asking(state: State, step: Step, model: ChatOpenAI) -> None:
            prompt = SystemMessage("You answer.")
            words = {"YES": Shape(word="yes", numbers=[]), "NO": None}.get
            replies.append(await ask_for(step, state, model, prompt, "Well?", Shape, words=words))

        await in_steps(endpoint, tmp_path, asking, *[given or State()] * times)
        return replies

    return ask


ANSWERS = {
    "json_schema": say(GOOD),
    "function_calling": call("Shape", word="yes", numbers=[1]),
    "json_mode": say(GOOD),
    "words": say(f"Sure! Here it is:\n```json\n{GOOD}\n```\nAnything else?"),
}


@pytest.mark.parametrize("form", FORMS)
async def test_ask_for_refused_forms_are_tried_once_in_a_process(asked: Any, form: str) -> None:
    refused = FORMS[: FORMS.index(form)]
    endpoint = Endpoint(ANSWERS[form], refuses=refusing(*refused))
    first, second = await asked(endpoint, times=2)
    assert first.value == second.value == Shape(word="yes", numbers=[1])
    assert forms(endpoint) == [*refused, form, form]
    assert (first.usage["calls"], second.usage["calls"]) == (1, 1)
    shape_is_told = '"numbers"' in endpoint.requests[-1]["messages"][-1]["content"]
    assert shape_is_told == (form in {"json_mode", "words"})


async def test_ask_for_schema_is_strict_and_complete(asked: Any) -> None:
    endpoint = Endpoint(say(GOOD))
    await asked(endpoint)
    wanted = endpoint.requests[0]["response_format"]["json_schema"]
    assert wanted["strict"] is True
    assert wanted["schema"]["required"] == ["word", "numbers"]
    assert wanted["schema"]["additionalProperties"] is False


async def test_ask_for_everything_refused_is_an_error_and_nothing_is_remembered(
    asked: Any,
) -> None:
    endpoint = Endpoint(say(GOOD), refuses=refusing(*FORMS))
    with pytest.raises(ModelRequestError, match="not supported here"):
        await asked(endpoint)
    assert forms(endpoint) == list(FORMS)


async def test_ask_for_malformed_answer_is_told_what_is_wrong_and_mended(asked: Any) -> None:
    endpoint = Endpoint(say('{"word": "yes", "numbers": ["one"]}'), say(GOOD))
    [reply] = await asked(endpoint)
    assert reply.value == Shape(word="yes", numbers=[1])
    assert reply.usage["calls"] == 2
    roles = [message["role"] for message in endpoint.requests[1]["messages"]]
    assert roles == ["system", "user", "assistant", "user"]
    told = endpoint.requests[1]["messages"][-1]["content"]
    assert "numbers.0: Input should be a valid integer" in told


async def test_ask_for_never_readable_gives_up_after_three_calls_with_the_words(
    asked: Any,
) -> None:
    endpoint = Endpoint(say("I would rather talk."))
    [reply] = await asked(endpoint)
    assert reply.value is None
    assert (reply.usage["calls"], reply.text) == (3, "I would rather talk.")
    assert reply.problem == "it holds no JSON object that can be read"


async def test_ask_for_words_of_the_role_are_understood(asked: Any) -> None:
    [reply] = await asked(Endpoint(say("<think>hm {</think>YES")))
    assert reply.value == Shape(word="yes", numbers=[])
    assert reply.usage["calls"] == 1


async def test_ask_for_cut_off_answer_says_so(asked: Any) -> None:
    endpoint = Endpoint({"text": GOOD[:-3], "ends": "length"}, say(GOOD))
    [reply] = await asked(endpoint)
    assert reply.value is not None
    assert "cut off" in endpoint.requests[1]["messages"][-1]["content"]


async def test_ask_for_arguments_that_are_no_json_are_told_and_mended(asked: Any) -> None:
    bad = {"calls": [("Shape", "{word: yes")]}
    endpoint = Endpoint(bad, ANSWERS["function_calling"], refuses=refusing("json_schema"))
    [reply] = await asked(endpoint)
    assert reply.value is not None
    assert "not valid JSON: {word: yes" in endpoint.requests[-1]["messages"][-1]["content"]


async def test_ask_for_refusal_is_not_asked_again(asked: Any) -> None:
    endpoint = Endpoint({"text": "", "refusal": "I will not"})
    [reply] = await asked(endpoint)
    assert reply.problem == "the model refuses: I will not"
    assert [request["stream"] for request in endpoint.requests] == [True, False]


async def test_ask_for_budget_used_up_in_between_is_not_exceeded(asked: Any) -> None:
    endpoint = Endpoint(say("nonsense"))
    endpoint.tokens = (4000, 1000)
    [reply] = await asked(endpoint, given={"max_tokens": 10_200})
    assert (reply.value, len(endpoint.requests)) == (None, 2)
    assert reply.problem.startswith("10000 of 10200 tokens are used up: too few are left")


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"{{not this}} but {GOOD} and {{more",
        f'{{"other": 1}}\n{GOOD}',
        f"thinking... {{}} </think>{GOOD}",
        f"<think>{{}}</think>{GOOD}<think>{{}}",
        f"```\n{GOOD}\n```",
        '{"word": "yes", "numbers": [1], "more": {"deep": [{}]}}',
    ],
)
def test_read_answer_object_is_found_in_what_is_around_it(text: str) -> None:
    assert read_answer(AIMessage(text), Shape) == Shape(word="yes", numbers=[1])


@pytest.mark.parametrize("text", ["", "{" * 100_000, '{"a":' * 100_000, '{"word": "yes"}', "[1]"])
def test_read_answer_hostile_text_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"JSON object|Field required"):
        read_answer(AIMessage(text), Shape)


def test_objects_in_are_the_outermost_ones() -> None:
    assert list(objects_in('a {"b": {"c": 1}} {"d": 2} {"e"')) == [{"b": {"c": 1}}, {"d": 2}]
