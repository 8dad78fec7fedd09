"""Flaky tests from end to end. They count their own runs in a file, so that each run is known.

At the base the suite is run 1, and its failing tests run again; every fork for a verdict starts
there, so that in each of them the suite is the next run, and running alone the next three. Passing
tests that are quick run beside the failing ones, so the one that counts is not quick.
"""

from typing import Any

import pytest
from samples import CALCULATOR, Repo
from scripted_model import Script, call, scripted_model

from graphs.engineering import make_graph
from tools.settings import Settings

FLAKY = """\
import pathlib
import time

OTHERS = []


def runs(name):
    counter = pathlib.Path.home() / name
    count = int(counter.read_text()) + 1 if counter.exists() else 1
    counter.write_text(str(count))
    return count


def test_other():
    OTHERS.append(1)


def test_unready_at_first():
    assert runs("first") > 1


def test_now_and_then():
    time.sleep(0.3)
    count = runs("second")
    assert not {condition}
"""
NOW_AND_THEN = FLAKY.replace("{condition}", "(count == 3 or (count == 2 and OTHERS))")
AMONG_OTHERS = FLAKY.replace("{condition}", "(count == 2 and OTHERS)")
FIX = call("replace", path="calc.py", old="(len(values) + 1)", new="len(values)")
NAME = "test_flaky.py::test_now_and_then"


@pytest.fixture
def run(saver: Any, settings: Settings, repo: Repo) -> Any:
    async def run(thread: str, flaky: str) -> dict[str, Any]:
        source = repo({**CALCULATOR, "test_flaky.py": flaky})
        config = {"configurable": {"thread_id": thread}}
        with scripted_model(Script(coder=[FIX, call("hand_in", summary="done")])) as url:
            update = {"model": "scripted", "openai_base_url": url, "baseline_reruns": 1}
            graph = make_graph(saver, settings.model_copy(update=update))
            return dict(await graph.ainvoke({"source": str(source), "max_attempts": 1}, config))

    return run


@pytest.mark.long
async def test_flaky_tests_are_named_and_decide_nothing(run: Any) -> None:
    state = await run("flaky", NOW_AND_THEN)
    assert state["report"]["status"] == "verified", state["report"]
    assert state["baseline"]["flaky"] == ["test_flaky.py::test_unready_at_first"]
    assert len(state["plan"]["targets"]) == len(state["report"]["fixed"]) == 2
    assert state["verdict"]["flaky"] == [NAME, "test_flaky.py::test_unready_at_first"]
    told = [item for item in state["report"]["findings"] if item["gate"] == "flaky"]
    assert [item["message"].split()[0] for item in told] == state["verdict"]["flaky"]
    assert not any(item["blocking"] for item in told)


@pytest.mark.long
async def test_test_that_fails_among_the_others_each_time_is_broken(run: Any) -> None:
    state = await run("polluted", AMONG_OTHERS)
    assert state["report"]["status"] == "unsolved"
    assert state["verdict"]["regressions"] == [NAME]
