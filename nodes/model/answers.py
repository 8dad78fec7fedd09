"""A model's answer as state can keep it: bounded, plain, with calls that can be answered."""

import re
import uuid
from collections.abc import Iterable
from itertools import islice
from typing import Any

import ormsgpack
from langchain_core.messages import AIMessage, InvalidToolCall, ToolCall

TEXT_LIMIT = 64_000
"""Characters of an answer's text."""

ARGUMENTS_LIMIT = 256_000
"""Bytes of all arguments of an answer."""

CALLS = 32
"""Tool calls of one answer; further ones are dropped."""

NAME = re.compile(r"[^A-Za-z0-9_-]")
"""What endpoints refuse in the name of a tool, also when they get their own answer back."""

CUT = "Your answer was cut off: it was too long. Take smaller steps."
EMPTY = "Your answer was empty. Call a tool, or hand in."
IDLE = "You called no tool, and nothing is changed yet. Call a tool, or hand in."


def kept(answer: AIMessage) -> AIMessage:
    """The answer with what state, the database and the next request can hold, and no more.

    Ids are our own: an endpoint that repeats one would have a message replaced, or a call
    answered twice. Arguments that cannot be kept become a call that is not valid.
    """
    calls, invalid = kept_calls(answer.tool_calls)
    for bad in answer.invalid_tool_calls[: CALLS - len(calls) - len(invalid)]:
        shown = _text(bad.get("args") or "", 200)
        invalid.append(_invalid(bad.get("name"), f"not valid JSON: {shown}"))
    ending = str(answer.response_metadata.get("finish_reason") or "")[:40]
    return AIMessage(
        _text(answer.text, TEXT_LIMIT),
        tool_calls=calls,
        invalid_tool_calls=invalid,
        id=str(uuid.uuid4()),
        response_metadata={"finish_reason": ending} if ending else {},
        additional_kwargs=_refused(answer),
    )


def kept_calls(given: Iterable[ToolCall]) -> tuple[list[ToolCall], list[InvalidToolCall]]:
    """The first `CALLS` calls with ids of our own; those that cannot be kept are not valid."""
    calls, invalid, room = [], [], ARGUMENTS_LIMIT
    for call in islice(given, CALLS):
        problem, size = _unkeepable(call["args"], room)
        room -= size
        if problem:
            invalid.append(_invalid(call["name"], problem))
        else:
            calls.append(ToolCall(name=_name(call["name"]), args=call["args"], id=_call_id()))
    return calls, invalid


def trouble(answer: AIMessage, *, is_idle: bool = False) -> str:
    """Why an answer is of no use, as its model is told: `CUT`, `EMPTY`; "" for one that is.

    Where nothing was done yet (`is_idle`), words alone are none either: `IDLE`.
    """
    if answer.tool_calls or answer.invalid_tool_calls:
        return ""
    if answer.response_metadata.get("finish_reason") == "length":
        return CUT
    if not answer.text.strip():
        return EMPTY
    return IDLE if is_idle else ""


def refusal(answer: AIMessage) -> str:
    """What a model that refuses to answer says; empty for one that does not."""
    if answer.tool_calls:
        return ""
    said = str(answer.additional_kwargs.get("refusal") or "")
    if said or answer.response_metadata.get("finish_reason") != "content_filter":
        return said
    return "the endpoint's content filter stopped the answer"


def _refused(answer: AIMessage) -> dict[str, str]:
    said = answer.additional_kwargs.get("refusal")
    return {"refusal": _text(str(said), 1000)} if said else {}


def _unkeepable(args: dict[str, Any], room: int) -> tuple[str, int]:
    """Why arguments cannot be kept, empty when they can be, and their bytes."""
    try:
        size = len(ormsgpack.packb(args))
    except (TypeError, ValueError) as error:  # lone surrogates, integers of over 64 bits, depth
        return f"not plain JSON: {error}", 0
    return (f"{size} bytes, too many", 0) if size > room else ("", size)


def _invalid(name: str | None, problem: str) -> InvalidToolCall:
    """The arguments are left out: some endpoints fail at getting back what is no JSON."""
    return InvalidToolCall(
        type="invalid_tool_call", name=_name(name), args="{}", id=_call_id(), error=problem
    )


def _name(name: str | None) -> str:
    return NAME.sub("_", name or "")[:64] or "unnamed"


def _call_id() -> str:
    """Nine letters and digits, which every endpoint takes."""
    return uuid.uuid4().hex[:9]


def _text(text: str, limit: int) -> str:
    plain = text[:limit].encode("utf-8", "replace").decode()
    cut = len(text) - limit
    return f"{plain}\n[{cut} more characters were cut]" if cut > 0 else plain
