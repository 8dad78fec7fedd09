"""A scripted completion in the form of a stream: server-sent events, a few characters each."""

import json
from collections.abc import Iterator
from typing import Any, Literal

Streaming = Literal["counted", "uncounted", "refused", "ignored", "cut"]
"""What an endpoint makes of `stream` and `stream_options`."""

PIECE = 7
"""Characters of a piece, so that words and tokens are split."""

REFUSAL = {"error": {"message": "unknown field: stream_options", "type": "invalid_request_error"}}


def events_of(body: dict[str, Any], streaming: Streaming) -> Iterator[bytes]:
    """The events of one completion; a cut one breaks off in the middle."""
    [choice] = body["choices"]
    message = choice["message"]
    deltas = [{"role": "assistant", "content": ""}]
    deltas += [{"content": piece} for piece in _pieces(message["content"] or "")]
    for index, call in enumerate(message.get("tool_calls", [])):
        function = call["function"]
        head = {"name": function["name"], "arguments": ""}
        deltas.append({"tool_calls": [{**call, "index": index, "function": head}]})
        deltas += [
            {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}
            for piece in _pieces(function["arguments"])
        ]
    for delta in deltas[: len(deltas) // 2 if streaming == "cut" else None]:
        yield _event(body, [{"index": 0, "delta": delta, "finish_reason": None}])
    if streaming == "cut":
        return
    yield _event(body, [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}])
    if streaming == "counted" and "usage" in body:
        yield _event({**body, "counted": True}, [])
    yield b"data: [DONE]\n\n"


def _pieces(text: str) -> list[str]:
    return [text[start : start + PIECE] for start in range(0, len(text), PIECE)]


def _event(body: dict[str, Any], choices: list[Any]) -> bytes:
    data = {**body, "object": "chat.completion.chunk", "choices": choices}
    if not data.pop("counted", False):
        data.pop("usage", None)
    return b"data: " + json.dumps(data).encode() + b"\n\n"
