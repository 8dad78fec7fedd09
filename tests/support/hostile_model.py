"""An OpenAI-compatible server whose answers are random and mean harm; seeded, a run a path.

Each run (`/RUN/v1`) has a mood: a few of the `WAYS`, from which every answer is drawn. What comes
is decided by the seed, the run and the number of the request, whatever the other runs do.
"""

import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Any

from scripted_stream import events_of

FILES = {
    "calc.py": "def add(a, b):\n    return a - b\n",
    "test_calc.py": (
        "from calc import add\n\n\ndef test_add():\n"
        "    for a in range(-9, 9):\n        assert add(a, a + 3) == 2 * a + 3\n"
    ),
}
"""The repository of the runs."""

RIGHT = ("replace", {"path": "calc.py", "old": "a - b", "new": "a + b"})
WRONG = [
    ("replace", {"path": "calc.py", "old": "a - b", "new": "a * b"}),
    ("replace", {"path": "test_calc.py", "old": "2 * a + 3", "new": "-3"}),
    ("create_file", {"path": "conftest.py", "content": "collect_ignore = ['test_calc.py']\n"}),
    ("create_file", {"path": "calc.py", "content": "import os\nos._exit(0)\n"}),
    ("create_file", {"path": "calc.py", "content": "def add(a, b):\n    raise SystemExit(0)\n"}),
    ("create_file", {"path": "calc.py", "content": "def add(:\n"}),
    ("shell", {"command": "rm -rf .git; echo 'x = 1' > new.py"}),
    ("shell", {"command": "git commit -qam x; git checkout -q --orphan y"}),
    ("shell", {"command": "sed -i 's/assert/pass #/' test_calc.py"}),
    ("shell", {"command": "(sleep 100 & ) ; yes | head -c 300000"}),
    ("shell", {"command": "exit 3"}),
    ("read_file", {"path": "calc.py"}),
    ("search", {"pattern": "(((", "path": "."}),
    ("search", {"pattern": "add"}),
]
ARGUMENTS: list[Any] = [
    {"path": "../../etc/passwd", "old": "root", "new": ""},
    {"path": "\ud800", "content": "\udfff"},
    {"path": "a\0b", "first": -1, "last": 10**40},
    {"path": "calc.py", "first": 10**18},
    {"command": "x" * 200_000},
    {"command": ""},
    {"path": "x" * 5000, "content": {"a": [1, None, {}]}},
    {},
    [],
    "a string",
    17,
    None,
]
NO_JSON = ["{not json", "", "{" * 5000, '{"path": "calc.py"', "null", "NaN", '{"a": 1}{"b": 2}']
TOOLS = ["shell", "replace", "create_file", "read_file", "search", "hand_in", "no_such_tool", "",
         "a" * 3000, "rm -rf /", "\ud800", "submit"]  # fmt: skip


@dataclass
class Reply:
    """What is sent: a status, a body in one piece or as pieces with a pause before each."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    pieces: list[bytes] = field(default_factory=list)
    pause_s: float = 0.0
    breaks_off: bool = False


def _text(random: Random) -> dict[str, Any]:
    return {"content": random.choice(["done", "ACCEPT", "REJECT: no", "{}", "<think>", "\ud800 \0",
                                      "I cannot do that.", "```json\n{", "x" * 3000])}  # fmt: skip


def _huge(random: Random) -> dict[str, Any]:
    return {"content": "lorem " * random.choice([20_000, 200_000])}


def _empty(random: Random) -> dict[str, Any]:
    return {"content": random.choice([None, "", " \n"])}


def _called(name: str, arguments: str, call: Any = "call-1") -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"id": call, "type": "function", "function": function}


def _work(random: Random) -> dict[str, Any]:
    chosen = random.sample(WRONG, random.randint(1, 3))
    return {"content": None, "tool_calls": [_called(n, json.dumps(a)) for n, a in chosen]}


def _solve(_: Random) -> dict[str, Any]:
    name, arguments = RIGHT
    return {"content": "", "tool_calls": [_called(name, json.dumps(arguments))]}


def _hand_in(random: Random) -> dict[str, Any]:
    said = {"summary": "s" * random.choice([1, 100_000]), "impossible": random.random() < 0.2}
    return {"content": None, "tool_calls": [_called("hand_in", json.dumps(said))]}


def _loop(_: Random) -> dict[str, Any]:
    return {"content": "", "tool_calls": [_called("read_file", '{"path": "calc.py"}')]}


def _bad_calls(random: Random) -> dict[str, Any]:
    def one() -> dict[str, Any]:
        arguments = random.choice(NO_JSON + [json.dumps(args) for args in ARGUMENTS])
        call = random.choice(["call-1", "", None, "c" * 500, f"call-{random.random()}"])
        return _called(random.choice(TOOLS), arguments, call)

    return {"content": None, "tool_calls": [one() for _ in range(random.choice([1, 2, 60]))]}


def _in_words(random: Random) -> dict[str, Any]:
    """A call written into the text."""
    name, arguments = random.choice([*WRONG, (random.choice(TOOLS), random.choice(ARGUMENTS))])
    return {"content": "I think: " + json.dumps({"tool": name, "args": arguments})}


def _refuse(random: Random) -> dict[str, Any]:
    return {"content": None, "refusal": random.choice(["I will not help.", "x" * 50_000])}


MESSAGES: list[Callable[[Random], dict[str, Any]]] = [
    _text, _huge, _empty, _work, _work, _solve, _hand_in, _hand_in, _loop, _bad_calls, _in_words,
    _refuse,
]  # fmt: skip
ENDS = ["stop", "stop", "tool_calls", "length", "content_filter", None, "banana"]
USAGES: list[Any] = [
    {"prompt_tokens": 900, "completion_tokens": 100, "total_tokens": 1000},
    {"prompt_tokens": 900, "completion_tokens": 100, "total_tokens": 1000},
    {"prompt_tokens": 5000, "completion_tokens": 4000, "total_tokens": 9000},
    {"prompt_tokens": 900, "completion_tokens": 9, "total_tokens": 909,
     "prompt_tokens_details": {"cached_tokens": 10**6}},
    {"prompt_tokens": -5, "completion_tokens": -5, "total_tokens": -10},
    {"prompt_tokens": 10**30, "completion_tokens": 1, "total_tokens": 1},
    {"prompt_tokens": "many", "completion_tokens": None},
    {}, None, [],
]  # fmt: skip


def _answer(random: Random, streamed: bool) -> Reply:
    """A completion, mostly in the right form."""
    message = {"role": "assistant", **random.choice(MESSAGES)(random)}
    if random.random() < 0.05:
        message["role"] = random.choice(["user", "tool", "system", "banana", None])
    choice = {"index": 0, "message": message, "finish_reason": random.choice(ENDS)}
    body: dict[str, Any] = {"id": "same", "object": "chat.completion", "created": 0, "model": "m"}
    body |= {"choices": [choice], "usage": random.choice(USAGES[: random.choice([2, len(USAGES)])])}
    if streamed and random.random() < 0.8:
        how = random.choice(["counted", "counted", "counted", "uncounted", "cut"])
        events = [*events_of(body, how)] if len(str(message)) < 100_000 else [_plain(body)]
        return Reply(headers={"content-type": "text/event-stream"}, pieces=events)
    return Reply(pieces=[_plain(body)])


def _plain(body: Any) -> bytes:
    return json.dumps(body).encode()


def _storm(random: Random, _: bool) -> Reply:
    status = random.choice([429, 429, 429, 500, 502, 503, 529, 408])
    after = random.choice(["", "0", "0.05", "0.2", "99999", "soon", "-1", "nan", "1e400"])
    error = {"message": random.choice(["slow down", "x" * 20_000, ""]), "type": "e"}
    body = random.choice([_plain({"error": error}), b"<html>busy</html>", b""])
    return Reply(status, {"retry-after": after} if after else {}, [body])


def _fatal(random: Random, _: bool) -> Reply:
    status = random.choice([400, 401, 402, 403, 404, 422, 429, 418])
    code = {"code": "insufficient_quota"} if status == 429 else {}
    return Reply(status, {}, [_plain({"error": {"message": "no", **code}})])


def _garbage(random: Random, _: bool) -> Reply:
    choices: list[Any] = [
        [], {}, None, "x", 1, {"choices": []}, {"choices": None}, {"choices": [{}]},
        {"choices": [{"message": None}]}, {"choices": [{"message": {"content": {"a": 1}}}]},
        {"choices": [{"message": {"role": "assistant", "content": [{"type": "x"}]}}]},
        {"choices": [{"message": {"role": "assistant", "tool_calls": [{}]}}]},
        {"error": {"message": "but the status is 200"}},
    ]  # fmt: skip
    chosen = _plain(random.choice(choices))
    wrapped = [b"data: " + chosen + b"\n\n", b"data: {\n\n", b"data: [DONE]\n\n"]
    kind = random.choice(["application/json", "text/event-stream", "text/html", ""])
    body = random.choice([chosen, b"\xff\xfe", b"", b"<html>", *wrapped])
    return Reply(headers={"content-type": kind}, pieces=[body])


def _reset(random: Random, streamed: bool) -> Reply:
    reply = _answer(random, streamed)
    reply.pieces, reply.breaks_off = reply.pieces[: len(reply.pieces) // 2], True
    return reply


def _slow(random: Random, streamed: bool) -> Reply:
    reply = _answer(random, streamed)
    whole = b"".join(reply.pieces)
    size = len(whole) // 6 + 1
    reply.pieces = [whole[start : start + size] for start in range(0, len(whole), size)]
    reply.pause_s = random.choice([0.02, 0.8])
    return reply


WAYS: list[Callable[[Random, bool], Reply]] = [
    _answer, _answer, _answer, _answer, _storm, _storm, _fatal, _garbage, _reset, _slow,
]  # fmt: skip


@dataclass
class Hostile:
    """The state of such a server: how many requests each run has sent, and which are left alone."""

    seed: int
    requests: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    calm: set[str] = field(default_factory=set)
    """Runs whose model has become honest and able."""

    def reply(self, run: str, request: dict[str, Any]) -> Reply:
        number = self.requests[run] = self.requests[run] + 1
        streamed = request.get("stream") is True
        mood = Random(f"{self.seed}/{run}")
        planned = mood.random() < 0.7 and "You plan" in str(request["messages"][0]["content"])[:20]
        if run in self.calm or planned:  # most runs get past the planner
            return self._calm(request)
        ways = mood.sample(WAYS, mood.choice([1, 2, 3])) + [_answer] * mood.choice([0, 3, 6, 9])
        random = Random(f"{self.seed}/{run}/{number}")
        return random.choice(ways)(random, streamed)

    def _calm(self, request: dict[str, Any]) -> Reply:
        done = {"summary": "the operator was wrong"}
        made = any("a + b" in json.dumps(message) for message in request["messages"][1:])
        name, arguments = ("hand_in", done) if made else RIGHT
        message: dict[str, Any] = {"role": "assistant", "content": "ACCEPT"}
        if "tools" in request:
            message["tool_calls"] = [_called(name, json.dumps(arguments))]
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return Reply(pieces=[_plain({"id": "x", "choices": [choice], "usage": USAGES[0]})])


def _handler(hostile: Hostile) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.close_connection = True
            try:
                request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            except ValueError:  # who asked has given up in the middle
                return
            reply = hostile.reply(self.path.split("/")[1], request)
            with suppress(OSError):  # who asked may be gone
                self.send_response(reply.status)
                for name, value in {"connection": "close", **reply.headers}.items():
                    self.send_header(name, value)
                if reply.breaks_off:
                    self.send_header("content-length", str(1 << 20))
                self.end_headers()
                for piece in reply.pieces:
                    time.sleep(reply.pause_s)
                    self.wfile.write(piece)
                    self.wfile.flush()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    return Handler


@contextmanager
def hostile_model(hostile: Hostile) -> Iterator[str]:
    """Serve on loopback; yields the address, to which `/RUN/v1` is added."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hostile))
    server.daemon_threads = False  # so that the end waits for those that still write
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
