"""The coder's next decision, from endpoints that take tools and from those that do not.

Where an endpoint refuses tools, they are described in words and calls are read from the text; so
are calls that a model writes into its text though it was given tools, as small ones do. A
conversation that is too long for the model is shortened further.
"""

import json
import re
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolCall,
    ToolMessage,
)

from nodes.context import Step
from nodes.model.answers import kept_calls
from nodes.model.client import ask
from nodes.model.conversation import bounded, tokens
from nodes.model.structured import objects_in, spoken
from tools.errors import ModelRequestError
from tools.toolbox import TOOLS, tool_schemas

TOO_LONG = re.compile(r"context|too long|too large|too many tokens|prompt length", re.I)
"""How endpoints say that a conversation does not fit; few have a code for it."""

SMALLEST = 1500
"""Tokens below which a conversation makes no sense."""


async def next_decision(
    step: Step,
    model: BaseChatModel,
    prompt: SystemMessage,
    conversation: Sequence[BaseMessage],
    attempt: int,
) -> AIMessage:
    """Ask for the next tool calls, with as much of the conversation as the model takes.

    Raises:
        ModelError: the endpoint fails, or takes the request in no form and at no length.
        BudgetReachedError: the call does not fit.
    """
    forms, name = step.services.forms, f"{step.model_name}/tools"
    bound = step.settings.context_tokens
    while True:
        in_words = forms.get(name) == "words"
        shown = bounded(conversation, bound)
        request = _in_words(prompt, shown) if in_words else [prompt, *shown]
        try:
            answer, _ = await ask(
                step,
                model if in_words else model.bind_tools(tool_schemas()),
                request,
                attempt=attempt,
            )
        except ModelRequestError as error:
            if not in_words and re.search(r"\btools?\b|tool_", str(error)):
                forms[name] = "words"
                continue
            smaller = min(bound, tokens(shown)) // 2
            if smaller < SMALLEST or not TOO_LONG.search(str(error)):
                raise
            bound = smaller
            continue
        return with_calls_in_text(answer)


def with_calls_in_text(answer: AIMessage) -> AIMessage:
    """The answer, with the calls in its text where it has no others."""
    if answer.tool_calls or answer.invalid_tool_calls:
        return answer
    calls, invalid = kept_calls(calls_in(answer.text))
    return answer.model_copy(update={"tool_calls": calls, "invalid_tool_calls": invalid})


def calls_in(text: str) -> Iterator[ToolCall]:
    """Tool calls that a text holds as JSON, in any of the forms that models are trained on."""
    for found in objects_in(spoken(text)):
        inner = found.get("function")
        call = inner if isinstance(inner, dict) else found
        name = next((call[key] for key in ("tool", "name", "function") if key in call), None)
        arguments = _object(
            next((call[key] for key in ("args", "arguments", "parameters") if key in call), {})
        )
        if isinstance(name, str) and name in TOOLS and arguments is not None:
            yield ToolCall(type="tool_call", name=name, args=arguments, id=uuid.uuid4().hex[:9])


def _object(given: Any) -> dict[str, Any] | None:
    if isinstance(given, str):
        try:
            given = json.loads(given, strict=False)
        except (ValueError, RecursionError):
            return None
    return given if isinstance(given, dict) else None


def _in_words(prompt: SystemMessage, conversation: Sequence[BaseMessage]) -> list[BaseMessage]:
    """The request without tools: prompt, people's and tools' words, and the model's, in turn."""
    described = "\n".join(json.dumps(schema["function"]) for schema in tool_schemas())
    form = (
        'Call a tool by answering with one JSON object, {"tool": NAME, "args": {...}}. The tools:'
    )
    messages: list[BaseMessage] = [SystemMessage(f"{prompt.text}\n\n{form}\n{described}")]
    for message in conversation:
        said: BaseMessage
        match message:
            case AIMessage():
                said = AIMessage(_call_in_words(message))
            case ToolMessage():
                said = HumanMessage(f"Answer of {message.name or 'the tool'}:\n{message.text}")
            case _:
                said = message
        if type(said) is type(messages[-1]):
            messages[-1] = type(said)(f"{messages[-1].text}\n\n{said.text}")
        else:
            messages.append(said)
    return messages


def _call_in_words(message: AIMessage) -> str:
    if not message.tool_calls or any(calls_in(message.text)):
        return message.text or "(nothing)"
    calls = (json.dumps({"tool": c["name"], "args": c["args"]}) for c in message.tool_calls)
    return "\n".join([message.text, *calls]).strip()
