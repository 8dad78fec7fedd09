"""The whole graph with a model (scripted, over HTTP): its loop, its cheats, its failures."""

from collections.abc import Callable
from typing import Any

import pytest
from samples import Repo
from scripted_model import Script, call, say

from tools.errors import ModelError

GOOD = call(
    "replace",
    path="calc.py",
    old="sum(values) / (len(values) + 1)",
    new="sum(values) / len(values)",
)
DONE = call("hand_in", summary="divided by the number of values")


def config(thread: str) -> dict[str, Any]:
    return {"configurable": {"thread_id": thread}}


async def test_model_reading_editing_testing_gets_verified_patch(
    scripted_graph: Any, repo: Repo, patch_of: Callable[[Any], str]
) -> None:
    script = Script(
        coder=[
            call("read_file", path="calc.py"),
            call("search", pattern="def mean"),
            GOOD,
            call("shell", command="python -m pytest -q"),
            DONE,
        ]
    )
    state = await scripted_graph(script).ainvoke({"source": str(repo())}, config("model-good"))
    report = state["report"]
    assert report["status"] == "verified", report
    assert report["coder"] == "scripted"
    assert report["usage"] == {"calls": 7, "input_tokens": 70, "output_tokens": 35}
    assert "+    return sum(values) / len(values)\n" in patch_of(state)
    answers = [message.text for message in state["messages"] if message.type == "tool"]
    assert "3\t    return sum(values) / (len(values) + 1)" in answers[0]
    assert "4 passed" in answers[3]


async def test_model_bad_calls_are_answered_not_fatal(scripted_graph: Any, repo: Repo) -> None:
    script = Script(
        coder=[
            {"calls": [("replace", "{not json")]},
            call("no_such_tool", x=1),
            call("replace", path="calc.py"),
            call("replace", path="../../etc/passwd", old="a", new="b"),
            call("replace", path="calc.py", old="def meen(values):", new="x"),
            GOOD,
            say("done"),
        ]
    )
    state = await scripted_graph(script).ainvoke({"source": str(repo())}, config("model-bad"))
    assert state["report"]["status"] == "verified"
    answers = [message.text for message in state["messages"] if message.type == "tool"]
    assert [answer.startswith("error: ") for answer in answers] == [True] * 5 + [False]
    assert "nearest, from line 1" in answers[4]


async def test_model_impossible_task_is_unsolved_and_says_so(
    scripted_graph: Any, repo: Repo
) -> None:
    script = Script(coder=[call("hand_in", summary="the tests contradict it", impossible=True)])
    state = await scripted_graph(script).ainvoke({"source": str(repo())}, config("model-no"))
    assert state["report"]["status"] == "unsolved"
    assert state["report"]["summary"] == "the coder says: the tests contradict it"


async def test_model_review_rejection_sends_the_work_back(scripted_graph: Any, repo: Repo) -> None:
    script = Script(coder=[GOOD, DONE], reviewer="REJECT: no comment explains it")
    given = {"source": str(repo()), "max_attempts": 2}
    state = await scripted_graph(script).ainvoke(given, config("model-reject"))
    assert state["report"]["status"] == "unsolved"
    assert state["report"]["attempts"] == 2
    sent_back = [message.text for message in state["messages"] if message.type == "human"]
    assert "model: no comment explains it" in sent_back[-1]


async def test_model_failing_endpoint_is_a_model_error(scripted_graph: Any, repo: Repo) -> None:
    script = Script(coder=[DONE], status=401)
    with pytest.raises(ModelError, match="answers 401: scripted failure"):
        await scripted_graph(script).ainvoke({"source": str(repo())}, config("model-401"))
