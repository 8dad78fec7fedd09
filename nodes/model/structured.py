"""Answers of a known shape, from endpoints that differ in how they can be asked for one.

The forms of a request are tried from the strictest to plain words. Where one is refused the next is
asked for, and the first that is taken is remembered by this process. An answer that does not fit
is answered with what is wrong with it, `REPAIRS` times, then the caller goes on without.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_function
from pydantic import BaseModel, ValidationError

from nodes.budgets import BudgetReachedError
from nodes.context import Step
from nodes.model.answers import refusal
from nodes.model.client import ask
from nodes.state import NO_USAGE, State, Usage, add_usage
from tools.errors import ModelRequestError

FORMS = ("json_schema", "function_calling", "json_mode", "words")

REPAIRS = 2
"""Answers that do not fit and are sent back."""

ANSWER_SHOWN = 4000
"""Characters of an answer that does not fit, as it is sent back."""

OBJECTS = 50
"""Opening braces of a text that are looked at for the beginning of a JSON object."""

T = TypeVar("T", bound=BaseModel)


@dataclass(frozen=True)
class Reply(Generic[T]):
    """What came of a question; without a value, `problem` says why and `text` is what was said."""

    value: T | None
    usage: Usage
    problem: str = ""
    text: str = ""


async def ask_for(
    step: Step,
    state: State,
    model: BaseChatModel,
    prompt: SystemMessage,
    question: str,
    schema: type[T],
    *,
    words: Callable[[str], T | None] = lambda _: None,
) -> Reply[T]:
    """Ask for a `schema`; budgets are looked at before each call, and each is counted.

    `words` reads answers that hold no JSON, where a role knows another way to say it.

    Raises:
        ModelError: the endpoint fails, or takes the request in none of its forms.
    """
    usage, problem, text = NO_USAGE, "", ""
    form, repairs = step.services.forms.get(step.model_name, FORMS[0]), 0
    while repairs <= REPAIRS:
        messages = _messages(prompt, question, schema, form, text, problem)
        try:
            bound = _bound(model, schema, form)
            answer, used = await ask(step, bound, messages, attempt=state.get("attempt", 0))
        except BudgetReachedError as reached:
            return Reply(None, usage, str(reached), text)
        except (ModelRequestError, NotImplementedError):
            if form == FORMS[-1]:
                raise
            form = FORMS[FORMS.index(form) + 1]
            continue
        step.services.forms[step.model_name] = form
        usage = add_usage(usage, used)
        if said := refusal(answer):
            return Reply(None, usage, f"the model refuses: {said}", text)
        try:
            return Reply(read_answer(answer, schema, words), usage)
        except ValueError as error:
            problem, text, repairs = str(error), str(answer.text), repairs + 1
    return Reply(None, usage, problem, text)


def _bound(
    model: BaseChatModel, schema: type[BaseModel], form: str
) -> Runnable[LanguageModelInput, AIMessage]:
    match form:
        case "json_schema":
            function = convert_to_openai_function(schema, strict=True)
            described = {"name": function["name"], "schema": function["parameters"]}
            wanted = {"type": "json_schema", "json_schema": {**described, "strict": True}}
            return _with_format(model, wanted)
        case "function_calling":
            return model.bind_tools([schema], tool_choice=schema.__name__)
        case "json_mode":
            return _with_format(model, {"type": "json_object"})
        case _:
            return model


def _with_format(
    model: BaseChatModel, wanted: dict[str, Any]
) -> Runnable[LanguageModelInput, AIMessage]:
    """Bind a response format past the OpenAI client, which raises where an answer was cut off."""
    body = getattr(model, "extra_body", None) or {}
    return model.bind(extra_body={**body, "response_format": wanted})


def _messages(
    prompt: SystemMessage, question: str, schema: type[BaseModel], form: str, text: str, wrong: str
) -> list[BaseMessage]:
    """The conversation, people and model in turn, since some templates take no other."""
    shape = json.dumps(schema.model_json_schema(), separators=(",", ":"))
    form_asked = f"Answer with one JSON object and nothing else, of this JSON schema:\n{shape}"
    told = f"{question}\n\n{form_asked}" if form in {"json_mode", "words"} else question
    messages: list[BaseMessage] = [prompt, HumanMessage(told)]
    if wrong:
        again = f"That answer cannot be used: {wrong}\n\n{form_asked}"
        messages += [AIMessage(text[:ANSWER_SHOWN] or "(nothing)"), HumanMessage(again)]
    return messages


def read_answer(
    answer: AIMessage, schema: type[T], words: Callable[[str], T | None] = lambda _: None
) -> T:
    """The first object in a tool call or in the text that fits.

    Raises:
        ValueError: none does; says what is wrong, for the model to put right.
    """
    text, problem = spoken(str(answer.text)), ""
    for found in (*(call["args"] for call in answer.tool_calls), *objects_in(text)):
        try:
            return schema.model_validate(found)
        except ValidationError as error:
            problem = problem or problems(error)
    value = words(text)
    if value is not None:
        return value
    if answer.response_metadata.get("finish_reason") == "length":
        raise ValueError("it was cut off at its greatest length; answer with less")
    bad = [f"the arguments are {call['error']}" for call in answer.invalid_tool_calls]
    raise ValueError(problem or (bad or ["it holds no JSON object that can be read"])[0])


def spoken(text: str) -> str:
    """A text without the thinking that some servers leave in it, begun or not."""
    return text.rpartition("</think>")[2].partition("<think>")[0].strip()


def objects_in(text: str) -> Iterator[dict[str, Any]]:
    """The JSON objects in a text, outermost ones, whatever is around them."""
    decoder, at = json.JSONDecoder(strict=False), 0
    for _ in range(OBJECTS):
        at = text.find("{", at)
        if at < 0:
            return
        try:
            found, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            at += 1
            continue
        yield found


def problems(error: ValidationError) -> str:
    """What does not fit, in a line."""
    found = error.errors(include_url=False, include_input=False)[:5]
    return "; ".join(f"{'.'.join(map(str, e['loc'])) or 'answer'}: {e['msg']}" for e in found)
