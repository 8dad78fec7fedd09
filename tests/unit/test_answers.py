"""What of a model's answer is kept: bounded, plain, answerable."""

from typing import Any

import ormsgpack
import pytest
from langchain_core.messages import AIMessage
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from nodes.model.answers import (
    ARGUMENTS_LIMIT,
    CALLS,
    CUT,
    EMPTY,
    TEXT_LIMIT,
    kept,
    refusal,
    trouble,
)


def calling(*calls: dict[str, Any]) -> AIMessage:
    return AIMessage("", tool_calls=[{"id": "same", **call} for call in calls])  # type: ignore[typeddict-item]


def deep(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        ({"path": "\ud800"}, "not plain JSON"),
        ({"\ud800": "x"}, "not plain JSON"),
        ({"first": 10**30}, "not plain JSON"),
        (deep(2000), "not plain JSON"),
        ({"content": "x" * ARGUMENTS_LIMIT}, "too many"),
    ],
)
def test_arguments_that_cannot_be_kept_are_an_invalid_call(
    args: dict[str, Any], problem: str
) -> None:
    answer = kept(
        calling({"name": "shell", "args": {"command": "ls"}}, {"name": "x", "args": args})
    )
    assert [call["name"] for call in answer.tool_calls] == ["shell"]
    [invalid] = answer.invalid_tool_calls
    assert problem in str(invalid["error"])
    assert JsonPlusSerializer().loads_typed(JsonPlusSerializer().dumps_typed(answer)) == answer


def test_answer_of_any_size_is_bounded_and_says_what_was_cut() -> None:
    huge = calling(*[{"name": "n" * 9999, "args": {"a": "x" * 40_000}} for _ in range(100)])
    answer = kept(huge.model_copy(update={"content": "y" * (TEXT_LIMIT + 7)}))
    assert len(answer.tool_calls) + len(answer.invalid_tool_calls) == CALLS
    assert sum(len(ormsgpack.packb(call["args"])) for call in answer.tool_calls) <= ARGUMENTS_LIMIT
    assert answer.text.endswith("[7 more characters were cut]")


def test_ids_and_names_are_such_that_every_endpoint_takes_them_back() -> None:
    calls = [{"name": "rm -rf /", "args": {}}, {"name": "", "args": {}}]
    answer = kept(calling(*calls).model_copy(update={"id": "chosen by the endpoint"}))
    assert [call["name"] for call in answer.tool_calls] == ["rm_-rf__", "unnamed"]
    ids = {call["id"] for call in answer.tool_calls}
    assert len(ids) == 2
    assert all(isinstance(name, str) and name.isalnum() and len(name) == 9 for name in ids)
    assert answer.id != "chosen by the endpoint"


def test_text_that_is_no_unicode_is_kept_as_text() -> None:
    assert kept(AIMessage("a\ud800b")).text == "a?b"


def ended(reason: str, text: str = "", **values: Any) -> AIMessage:
    metadata = {"finish_reason": reason, "logprobs": ["x"] * 1000}
    return kept(AIMessage(text, response_metadata=metadata, **values))


def test_useless_answers_are_told_from_others() -> None:
    assert trouble(ended("length", "I begin with")) == CUT
    assert trouble(ended("stop", " \n")) == EMPTY
    assert trouble(ended("stop", "done")) == ""
    called = [{"name": "shell", "args": {}, "id": "1"}]
    assert trouble(ended("length", tool_calls=called)) == ""
    assert ended("stop", "x").response_metadata == {"finish_reason": "stop"}


def test_refusals_are_told_from_answers() -> None:
    assert refusal(ended("stop", additional_kwargs={"refusal": "I cannot"})) == "I cannot"
    assert "content filter" in refusal(ended("content_filter"))
    assert refusal(ended("stop", "done")) == ""
