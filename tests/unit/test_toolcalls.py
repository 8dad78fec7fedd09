"""Tool calls in words: read from texts, and asked for where an endpoint takes no tools."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from endpoints import Endpoint, in_steps
from langchain_core.messages import (
    AIMessage,
    AnyMessage,
    HumanMessage,
    SystemMessage,
    ToolCall,
    ToolMessage,
)
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from scripted_model import call, say

from nodes.context import Step
from nodes.model.toolcalls import calls_in, next_decision, with_calls_in_text
from nodes.state import State
from tools.errors import ModelRequestError

CALL = {"path": "a.py"}


@pytest.mark.parametrize(
    "text",
    [
        '{"tool": "read_file", "args": {"path": "a.py"}}',
        'I look.\n<tool_call>\n{"name": "read_file", "arguments": {"path": "a.py"}}\n</tool_call>',
        '```json\n{"name": "read_file", "parameters": {"path": "a.py"}}\n```',
        json.dumps({"function": {"name": "read_file", "arguments": '{"path": "a.py"}'}}),
        '<think>{"tool": "shell"}</think>{"function": "read_file", "args": {"path": "a.py"}}',
    ],
)
def test_calls_in_forms_that_models_write_are_read(text: str) -> None:
    [call] = calls_in(text)
    assert (call["name"], call["args"]) == ("read_file", CALL)


@pytest.mark.parametrize(
    "text",
    ["done", '{"name": "no_tool", "arguments": {}}', '{"tool": "shell", "args": "{"}',
     '{"tool": "shell", "args": [1]}', '{"tool": 7}', json.dumps({"args": CALL}), "{" * 1000],
)  # fmt: skip
def test_calls_in_other_texts_are_none(text: str) -> None:
    assert list(calls_in(text)) == []


@pytest.fixture
def decided(tmp_path: Path) -> Callable[..., Any]:
    """Asks an endpoint for the next calls in a conversation, twice in one process."""

    async def ask(endpoint: Endpoint, conversation: list[AnyMessage]) -> list[AIMessage]:
        answers: list[AIMessage] = []

        async def asking(state: State, step: Step, model: ChatOpenAI) -> None:
            prompt = SystemMessage("You code.")
            answers.append(await next_decision(step, model, prompt, conversation, 1))

        await in_steps(endpoint, tmp_path, asking, State(), State())
        return answers

    return ask


BEGUN: list[AnyMessage] = [
    HumanMessage("Goal: x"),
    AIMessage("I look.", tool_calls=[ToolCall(name="shell", args={"command": "ls"}, id="1")]),
    ToolMessage("a.py", tool_call_id="1", name="shell"),
    HumanMessage("A person says: go on"),
]


async def test_next_decision_endpoint_without_tools_is_asked_in_words(decided: Any) -> None:
    said = json.dumps({"tool": "read_file", "args": CALL})
    endpoint = Endpoint(
        say(said), refuses=lambda r: "this model does not support tools" if "tools" in r else ""
    )
    answers = await decided(endpoint, BEGUN)
    assert [answer.tool_calls[0]["args"] for answer in answers] == [CALL, CALL]
    assert ["tools" in request for request in endpoint.requests] == [True, False, False]
    system, *turns = endpoint.requests[-1]["messages"]
    assert '"name": "read_file"' in system["content"]
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user"]
    assert turns[1]["content"] == 'I look.\n{"tool": "shell", "args": {"command": "ls"}}'
    assert turns[2]["content"] == "Answer of shell:\na.py\n\nA person says: go on"


async def test_next_decision_conversation_that_is_too_long_is_shortened(decided: Any) -> None:
    def refuses(request: dict[str, Any]) -> str:
        size = sum(len(message["content"] or "") for message in request["messages"])
        return f"{size} exceeds the available context size" if size > 9000 else ""

    endpoint = Endpoint(call("read_file", **CALL), refuses=refuses)
    answer = ToolMessage("y\n" * 3000, tool_call_id="1", name="shell")
    long = [*BEGUN, *[BEGUN[1], answer] * 9]
    first, _ = await decided(endpoint, long)
    assert first.tool_calls[0]["args"] == CALL
    assert len(endpoint.requests) <= 2 * 4
    assert endpoint.requests[-1]["messages"][1]["content"] == "Goal: x"


async def test_next_decision_other_refusals_are_errors(decided: Any) -> None:
    endpoint = Endpoint(say("x"), refuses=lambda _: "temperature is not allowed")
    with pytest.raises(ModelRequestError, match="temperature"):
        await decided(endpoint, BEGUN)
    assert len(endpoint.requests) == 1


@pytest.mark.parametrize("value", ['"\\ud800"', "1" + "0" * 30, '{"a":' * 900 + "1" + "}" * 900])
def test_calls_in_text_that_state_cannot_keep_are_invalid_ones(value: str) -> None:
    text = '{"tool": "read_file", "args": {"path": %s}}' % value  # noqa: UP031
    answer = with_calls_in_text(AIMessage(text))
    assert (answer.tool_calls, len(answer.invalid_tool_calls)) == ([], 1)
    assert JsonPlusSerializer().dumps_typed(answer)
