"""Talking to a model: how it is made, asked and counted. OpenAI and every compatible server."""

import asyncio
import time
from functools import partial
from importlib import resources
from typing import Any

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage, SystemMessage
from langchain_core.runnables import Runnable
from pydantic import SecretStr
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_attempt,
    stop_before_delay,
)

from nodes import events
from nodes.context import Step
from nodes.model.answers import kept
from nodes.model.endpoint import TRIES, as_model_error, wait_s
from nodes.model.meter import request_tokens
from nodes.model.streaming import answer_of
from nodes.state import Usage
from tools.errors import ModelUnavailableError, UsageError
from tools.settings import NO_MODEL, Settings


def _prompt(role: str) -> SystemMessage:
    text = resources.files("nodes").joinpath(f"prompts/{role}.md").read_text(encoding="utf-8")
    return SystemMessage(text)


PROMPTS = {role: _prompt(role) for role in ("planner", "coder", "reviewer")}
"""The system message of each role that may use a model, from `nodes/prompts`."""


def make_model(settings: Settings, name: str) -> BaseChatModel | None:
    """The model of a name, or None for the offline engine. Reads certificates: blocking.

    Raises:
        UsageError: a model is named, but neither a key nor an endpoint is configured.
    """
    if name == NO_MODEL:
        return None
    if settings.openai_api_key is None and settings.openai_base_url is None:
        raise UsageError(
            f"model {name!r} needs a key or an endpoint",
            hint="set OPENAI_API_KEY, or OPENAI_BASE_URL for a compatible server",
        )
    # half a second that few commands need
    from langchain_openai import ChatOpenAI  # noqa: PLC0415
    from langchain_openai.chat_models.base import BaseChatOpenAI  # noqa: PLC0415

    # compatible servers know the older `max_tokens`, and some know no other name of that bound
    chat: type[BaseChatOpenAI] = ChatOpenAI if settings.is_openai else BaseChatOpenAI
    return chat(
        model=name,
        base_url=settings.openai_base_url,
        api_key=settings.openai_api_key or SecretStr("none"),
        timeout=settings.model_timeout_s,
        stream_chunk_timeout=None,  # a slow server reads a long prompt; the limit above holds
        stream_usage=True,
        max_retries=0,  # ours are visible, counted and bounded
        max_tokens=settings.answer_tokens,
        # compatible servers have the chat API only, whatever a model's name suggests
        use_responses_api=None if settings.is_openai else False,
    )


async def ask(
    step: Step,
    model: Runnable[LanguageModelInput, AIMessage],
    messages: list[BaseMessage],
    *,
    attempt: int = 0,
) -> tuple[AIMessage, Usage]:
    """Ask the model once, with whatever is bound to it: tools, a form of answer.

    The answer gets no more tokens and no more time than the budgets have room for. While the
    endpoint is busy or down the request is sent again, with a `waiting` event before each pause,
    `TRIES` times within `model_patience_s`. What the answer consumed is written to the ledger and
    counted by the step. The answer is `kept`: bounded, with ids of our own.

    Raises:
        BudgetReachedError: the call does not fit in a budget, and was not made; or the run's time
            was up before the endpoint answered.
        ModelUnavailableError: the endpoint was busy or down for all of that time.
        ModelRequestError: it does not take this request; one of another form it may take.
        ModelError: it refuses the key, does not know the model, or wants money first.
    """
    messages = step.sink.data(messages)
    meter, settings = step.meter, step.settings
    asked = request_tokens(model, messages)
    room = meter.answer_room(asked, settings.answer_tokens)
    if room < settings.answer_tokens:
        model = model.bind(max_tokens=room)
    patience_s = min(settings.model_patience_s, meter.seconds_left())
    retrying = AsyncRetrying(
        retry=retry_if_exception_type(ModelUnavailableError),
        wait=wait_s,
        stop=stop_after_attempt(TRIES) | stop_before_delay(patience_s),
        before_sleep=partial(_say_waiting, step),
        reraise=True,
    )
    begun = time.monotonic()
    try:
        answer: AIMessage = await retrying(_call, step, model, messages)
    except ModelUnavailableError as error:
        raise meter.out_of_time(error, patience_s) from error
    call = step.sink.data(kept(answer))
    retries = int(retrying.statistics.get("attempt_number", 1)) - 1
    usage, counted = meter.count(answer, asked, time.monotonic() - begun, retries)
    await _write_down(step, usage, str(call.id), attempt, counted=counted)
    return call, usage


async def _call(step: Step, runnable: Runnable[Any, Any], messages: list[BaseMessage]) -> AIMessage:
    """Send the request once. The time limit holds for the whole answer, however it trickles in."""
    timeout_s = min(step.settings.model_timeout_s, step.meter.seconds_left())
    try:
        async with asyncio.timeout(timeout_s):
            answer = await answer_of(step, runnable, messages)
    except Exception as error:  # what answers may be anything; so may the client's complaints
        raise as_model_error(error) from error
    if not isinstance(answer, AIMessage):
        raise ModelUnavailableError(f"the model answered with a {type(answer).__name__}")
    return answer


def _say_waiting(step: Step, state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    step.emit(
        events.Waiting(
            reason=str(error.args[0]) if error else "",
            seconds=round(state.upcoming_sleep, 1),
            tries=state.attempt_number,
        )
    )


async def _write_down(step: Step, usage: Usage, call: str, attempt: int, *, counted: bool) -> None:
    """Put what the call `call` consumed into the ledger and the stream, which has no estimates."""
    await step.record(
        step.services.ledger.save_cost,
        step.thread,
        step.node,
        attempt,
        call,
        usage,
        model=step.model_name,
        counted=counted,
        candidate=step.candidate,
    )
    step.emit(
        events.Cost(
            model=step.model_name,
            input_tokens=usage["input_tokens"] if counted else None,
            output_tokens=usage["output_tokens"] if counted else None,
            usd=usage["usd"] if counted else None,
        )
    )
