"""The one fake of the tests: an OpenAI-compatible server that answers from a script.

It is stateless: the answer depends on the role (told by the system prompt) and on how many
answers the conversation already holds, so that a resumed run gets the answers it would have got.
"""

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from scripted_stream import REFUSAL, Streaming, events_of

Answer = dict[str, Any]


def call(name: str, **args: Any) -> Answer:
    """An answer that calls one tool."""
    return {"calls": [(name, json.dumps(args))]}


def say(text: str) -> Answer:
    """An answer in words."""
    return {"text": text}


TOKENS = (10, 5)
"""What an answer is said to have consumed."""


@dataclass
class Script:
    """What each role answers; the last coder answer is repeated."""

    coder: Sequence[Answer] = ()
    coders: Mapping[str, Sequence[Answer]] = field(default_factory=dict)
    """Other answers of the coder, by a text that its first request holds."""
    planner: str | Answer = '{"diagnosis": "scripted: look at the failing function", "steps": []}'
    reviewer: str | Answer = "ACCEPT"
    storm: list[Answer] = field(default_factory=list)
    """Failures before the first answer: each a `status`, and `headers`, a `message` if any."""
    status: int = 200
    streaming: Streaming = "counted"
    tokens: tuple[int, int] | None = TOKENS
    """What each answer is said to have consumed, None for an endpoint that does not count."""
    requests: list[dict[str, Any]] = field(default_factory=list)

    def answer(self, request: dict[str, Any]) -> Answer:
        messages = request["messages"]
        system = str(messages[0]["content"])
        if system.startswith("You plan"):
            return self.planner if isinstance(self.planner, dict) else say(self.planner)
        if system.startswith("You review"):
            return self.reviewer if isinstance(self.reviewer, dict) else say(self.reviewer)
        given = sum(message["role"] == "assistant" for message in messages)
        told = str(messages[1]["content"])
        coder = next((self.coders[text] for text in self.coders if text in told), self.coder)
        return coder[min(given, len(coder) - 1)]


def completion(
    answer: Answer, number: int, tokens: tuple[int, int] | None = TOKENS
) -> dict[str, Any]:
    """An answer in the form of POST /v1/chat/completions."""
    message: dict[str, Any] = {"role": "assistant", "content": answer.get("text")}
    if "refusal" in answer:
        message["refusal"] = answer["refusal"]
    if "calls" in answer:
        message["tool_calls"] = [
            {
                "id": f"call-{number}-{index}",
                "type": "function",
                "function": {"name": name, "arguments": arguments},
            }
            for index, (name, arguments) in enumerate(answer["calls"])
        ]
    body = {
        "id": f"scripted-{number}",
        "object": "chat.completion",
        "created": 0,
        "model": "scripted",
        "choices": [{"index": 0, "message": message, "finish_reason": answer.get("ends", "stop")}],
    }
    if tokens:
        asked, answered = tokens
        counts = {"prompt_tokens": asked, "completion_tokens": answered}
        body["usage"] = {**counts, "total_tokens": asked + answered}
    return body


def handler(script: Script) -> Callable[..., BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            script.requests.append(request)
            failure = script.storm.pop(0) if script.storm else {"status": script.status}
            streamed = request.get("stream") is True and script.streaming != "ignored"
            if failure["status"] == 200 and streamed and script.streaming == "refused":
                failure, body = {"status": 400}, REFUSAL
            elif failure["status"] == 200:
                number = sum(m["role"] == "assistant" for m in request["messages"])
                body = completion(script.answer(request), number, script.tokens)
                if streamed:
                    self._stream(body)
                    return
            else:
                body = {
                    "error": {
                        "message": failure.get("message", "scripted failure"),
                        "type": "scripted",
                    }
                }
            data = json.dumps(body).encode()
            self.send_response(failure["status"])
            for name, value in failure.get("headers", {}).items():
                self.send_header(name, value)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.send_header("connection", "close")  # so that no client socket outlives its test
            self.end_headers()
            self.wfile.write(data)

        def _stream(self, body: dict[str, Any]) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("connection", "close")
            self.end_headers()
            for event in events_of(body, script.streaming):
                self.wfile.write(event)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    return Handler


@contextmanager
def scripted_model(script: Script) -> Iterator[str]:
    """Serve a script on loopback; yields the base URL for OPENAI_BASE_URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(script))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
