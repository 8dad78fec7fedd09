"""A model's answer, told while it arrives."""

import json
import time
from typing import cast

from langchain_core.exceptions import ModelConnectionError
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    InvalidToolCall,
    ToolCall,
    message_chunk_to_message,
)
from langchain_core.messages.ai import add_ai_message_chunks, add_usage
from langchain_core.runnables import Runnable

from nodes.context import Step
from nodes.events import TEXT_LIMIT, Tokens

INTERVAL_S = 0.1
"""Between two events of one answer."""

ANSWER_LIMIT = 1 << 20
"""Characters of an answer; a longer one is refused while it arrives."""

REFUSED = frozenset({400, 422, 501})
"""How endpoints refuse a request whose form they do not know."""

Model = Runnable[LanguageModelInput, BaseMessage]


async def answer_of(step: Step, model: Model, messages: list[BaseMessage]) -> BaseMessage:
    """Ask, telling the answer's pieces as `tokens` events.

    An endpoint that cannot stream, or does not count what it streams, is asked without for as long
    as this process lives, the first time again. A form to be filled in is of no use in parts. An
    answer with nothing in it is asked for again: the client drops refusals from streams.

    Raises:
        ModelConnectionError: the answer broke off.
        ValueError: it is too long.
    """
    plain = step.services.plain_models
    if step.model_name in plain or "response_format" in getattr(model, "kwargs", {}):
        return await model.ainvoke(messages)
    try:
        streamed = await _streamed(step, model, messages)
    except Exception as error:
        if not _refuses_streams(error):
            raise
        streamed = None
    if streamed is None or (_is_openai(streamed) and not streamed.usage_metadata):
        plain.add(step.model_name)
    elif streamed.text.strip() or streamed.tool_calls or streamed.invalid_tool_calls:
        return streamed
    answer = await model.ainvoke(messages)
    if streamed is not None and isinstance(answer, AIMessage):
        answer.usage_metadata = add_usage(streamed.usage_metadata, answer.usage_metadata)
    return answer


def _refuses_streams(error: Exception) -> bool:
    """Whether the endpoint answers, but not with a stream that ends with what it consumed."""
    if isinstance(error, ValueError) and "No generation chunks" in str(error):
        return True
    return getattr(error, "status_code", 0) in REFUSED and "stream" in str(error).lower()


def _is_openai(answer: BaseMessage) -> bool:
    return answer.response_metadata.get("model_provider") == "openai"


async def _streamed(step: Step, model: Model, messages: list[BaseMessage]) -> AIMessage | None:
    """The answer; None when what comes are no pieces of one."""
    chunks: list[AIMessageChunk] = []
    pieces, length = _Pieces(step), 0
    async for chunk in model.astream(messages):
        if not isinstance(chunk, AIMessageChunk):
            return None
        chunks.append(chunk)
        arguments = "".join(str(call["args"] or "") for call in chunk.tool_call_chunks)
        pieces.add("text", chunk.text)
        pieces.add("arguments", arguments)
        length += len(chunk.text) + len(arguments)
        if length > ANSWER_LIMIT:
            raise ValueError(f"more than {ANSWER_LIMIT} characters")
    pieces.end()
    if not chunks:
        return None
    whole = add_ai_message_chunks(*chunks)
    if _is_openai(whole) and not (whole.response_metadata.keys() & {"finish_reason", "status"}):
        raise ModelConnectionError("the answer broke off")
    return joined(whole)


def joined(whole: AIMessageChunk) -> AIMessage:
    """The answer that all pieces make; a call whose arguments broke off is invalid.

    langchain would complete them, so that half a file is written.
    """
    valid, invalid = [], []
    for call in whole.tool_call_chunks:
        name, text = call["name"] or "", call["args"] or "{}"
        try:
            args = json.loads(text, strict=False)
        except (ValueError, RecursionError):
            args = None
        if isinstance(args, dict):
            valid.append(ToolCall(type="tool_call", name=name, args=args, id=call["id"]))
        else:
            invalid.append(
                InvalidToolCall(
                    type="invalid_tool_call", name=name, args=text, id=call["id"], error=None
                )
            )
    answer = cast("AIMessage", message_chunk_to_message(whole))
    return answer.model_copy(update={"tool_calls": valid, "invalid_tool_calls": invalid})


class _Pieces:
    """Joins pieces, so that there are no more than ten events a second."""

    def __init__(self, step: Step) -> None:
        self._step, self._part, self._text, self._told = step, "text", "", time.monotonic()
        self._stream = step.sink.stream()

    def add(self, part: str, text: str) -> None:
        """Take a piece; it may be told later."""
        if not text:
            return
        if part != self._part:
            self.end()
        self._part, self._text = part, self._text + self._stream.feed(text)
        if len(self._text) > TEXT_LIMIT or time.monotonic() - self._told > INTERVAL_S:
            self._flush()

    def end(self) -> None:
        """Tell what was not told."""
        self._text += self._stream.end()
        self._flush()

    def _flush(self) -> None:
        for start in range(0, len(self._text), TEXT_LIMIT):
            text = self._text[start : start + TEXT_LIMIT]
            self._step.emit(Tokens.model_validate({"part": self._part, "text": text}))
        self._text, self._told = "", time.monotonic()
