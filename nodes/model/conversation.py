"""What of a long conversation a model is shown: what was asked, the newest answers, the rest short.

The checkpoint keeps every message whole; this is a view, made anew for each request. It is made
shorter in blocks, so that its beginning is the same for several requests: endpoints cache it.
"""

from collections.abc import Sequence

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

CHARACTERS = 3
"""Characters that are counted as one token; no common tokenizer makes more of code."""

NEWEST = 6
"""Messages at the end that are shortened last."""

BLOCK = 8
"""Messages that are shortened at a time."""

LINE, ARGUMENT = 120, 200
"""Characters that stay of an old answer, and of an argument of an old call."""

LONG = 12_000
"""Characters that stay of one message where nothing else is left to shorten."""


def tokens(messages: Sequence[BaseMessage]) -> int:
    """About how many tokens messages are, with their calls; rather too many."""
    return sum(_size(message) for message in messages) // CHARACTERS


def bounded(messages: Sequence[BaseMessage], bound: int) -> list[BaseMessage]:
    """The messages within about `bound` tokens.

    First old answers of tools become one line each, and long arguments of old calls are left out;
    then the oldest calls go with their answers; at last, long messages lose their middle.
    What people and the graph said stays, and every call keeps its answer.
    """
    shown = list(messages)
    for end in range(BLOCK, len(shown) - NEWEST + 1, BLOCK):
        if tokens(shown) <= bound:
            return shown
        shown[end - BLOCK : end] = [_short(message) for message in shown[end - BLOCK : end]]
    while tokens(shown) > bound and (rest := _without_oldest(shown)) is not None:
        shown = rest
    if tokens(shown) > bound:
        each = max(LINE, min(LONG, bound * CHARACTERS // max(1, len(shown))))
        shown = [_cut(message, each) for message in shown]
    return shown


def _size(message: BaseMessage) -> int:
    calls = (
        message.tool_calls + message.invalid_tool_calls if isinstance(message, AIMessage) else []
    )
    return len(message.text) + sum(
        len(str(call["args"])) + len(call["name"] or "") for call in calls
    )


def _short(message: BaseMessage) -> BaseMessage:
    match message:
        case ToolMessage() if len(message.text) > 2 * LINE:
            first = message.text.strip().partition("\n")[0][:LINE]
            note = f"{first}\n[{len(message.text)} characters, no longer shown]"
            return message.model_copy(update={"content": note})
        case AIMessage():
            calls = [
                {**call, "args": _short_arguments(call["args"])} for call in message.tool_calls
            ]
            text = message.text if len(message.text) <= 2 * LINE else f"{message.text[:LINE]} ..."
            return message.model_copy(update={"content": text, "tool_calls": calls})
        case _:
            return message


def _short_arguments(arguments: dict[str, object]) -> dict[str, object]:
    return {
        name: f"[{len(value)} characters, no longer shown]"
        if isinstance(value, str) and len(value) > ARGUMENT
        else value
        for name, value in arguments.items()
    }


def _without_oldest(messages: list[BaseMessage]) -> list[BaseMessage] | None:
    """Without the oldest call and its answers; None where only the newest ones are left."""
    first = next((n for n, m in enumerate(messages) if isinstance(m, AIMessage)), None)
    if first is None:
        return None
    end = first + 1
    while end < len(messages) and isinstance(messages[end], ToolMessage):
        end += 1
    return messages[:first] + messages[end:] if end <= len(messages) - NEWEST else None


def _cut(message: BaseMessage, limit: int) -> BaseMessage:
    """Without the middle; of calls, the long arguments are left out."""
    text = str(message.text)
    if len(text) > limit:
        half = limit // 2
        gone = len(text) - 2 * half
        text = f"{text[:half]}\n[{gone} characters left out]\n{text[-half:]}"
    if isinstance(message, AIMessage):
        calls = [{**call, "args": _short_arguments(call["args"])} for call in message.tool_calls]
        return message.model_copy(update={"content": text, "tool_calls": calls})
    return message.model_copy(update={"content": text})
