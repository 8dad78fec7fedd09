"""A model's answer in pieces, from endpoints of all kinds: nothing is lost, all is counted."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from langchain_core.exceptions import ModelConnectionError
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage
from langchain_core.messages.ai import add_ai_message_chunks
from langchain_core.messages.tool import tool_call_chunk
from scripted_model import Script, call, say, scripted_model
from scripted_stream import Streaming

from nodes.model.client import make_model
from nodes.model.streaming import answer_of, joined
from tools.settings import Settings
from tools.sink import Sink

WORDS = "A plan in words: ünïcode, and so on."
CODER = [call("replace", path="a.py", old="x", new="y")]
SYSTEM = SystemMessage("You code")


async def ask(script: Script, home: Path, times: int = 1) -> tuple[AIMessage, list[Any]]:
    with scripted_model(script) as url:
        settings = Settings(home=home, model="scripted", openai_base_url=url)
        model = make_model(settings, "scripted")
        assert model is not None
        told: list[Any] = []
        services = SimpleNamespace(plain_models=set())
        step: Any = SimpleNamespace(
            services=services,
            settings=settings,
            model_name="scripted",
            emit=told.append,
            sink=Sink({}),
        )
        for _ in range(times):
            answer = await answer_of(step, model, [SYSTEM, HumanMessage("go on")])
        await model.root_async_client.close()  # type: ignore[attr-defined]
    assert isinstance(answer, AIMessage)
    return answer, told


@pytest.mark.parametrize("streaming", ["counted", "refused", "ignored", "uncounted"])
@pytest.mark.parametrize("given", [say(WORDS), CODER[0]])
async def test_answer_in_pieces_is_the_whole_one_and_counted(
    streaming: Streaming, given: Any, tmp_path: Path
) -> None:
    plain, _ = await ask(Script(coder=[given], streaming="ignored"), tmp_path)
    script = Script(coder=[given], streaming=streaming)
    answer, told = await ask(script, tmp_path, times=2)
    assert type(answer) is AIMessage
    assert (answer.text, answer.tool_calls) == (plain.text, plain.tool_calls)
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["total_tokens"] == 15
    tried = [request.get("stream", False) for request in script.requests]
    assert tried == {"counted": [True, True]}.get(streaming, [True, False, False])
    if streaming == "counted":
        text = "".join(event.text for event in told)
        assert text == 2 * (given.get("text") or given["calls"][0][1])


async def test_answer_cut_off_is_an_error_of_the_connection(tmp_path: Path) -> None:
    with pytest.raises(ModelConnectionError, match="broke off"):
        await ask(Script(coder=[say(WORDS)], streaming="cut"), tmp_path)


async def test_answer_that_is_a_refusal_is_not_lost(tmp_path: Path) -> None:
    script = Script(coder=[{"refusal": "I will not."}])
    answer, _ = await ask(script, tmp_path)
    assert answer.additional_kwargs["refusal"] == "I will not."
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["total_tokens"] == 30
    assert [request.get("stream", False) for request in script.requests] == [True, False]


@pytest.mark.parametrize("cut", range(1, 36, 5))
def test_joined_call_that_broke_off_is_invalid_wherever_it_did(cut: int) -> None:
    whole = '{"path": "a.py", "content": "x = 1"}'
    pieces = [
        AIMessageChunk("", tool_call_chunks=[tool_call_chunk(name=name, args=args, id=id, index=0)])
        for name, args, id in (("create_file", "", "1"), (None, whole[:cut], None))
    ]
    last = AIMessageChunk("", response_metadata={"finish_reason": "length"}, chunk_position="last")
    answer = joined(add_ai_message_chunks(*pieces, last))
    assert answer.tool_calls == []
    assert [call["args"] for call in answer.invalid_tool_calls] == [whole[:cut]]
    rest = AIMessageChunk("", tool_call_chunks=[tool_call_chunk(args=whole[cut:], index=0)])
    answer = joined(add_ai_message_chunks(*pieces, rest, last))
    assert [call["args"]["content"] for call in answer.tool_calls] == ["x = 1"]
    assert answer.response_metadata["finish_reason"] == "length"
