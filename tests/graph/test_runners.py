"""Repairs of repositories whose tests are unittest's or Node's, from end to end."""

from collections.abc import Callable
from typing import Any

import pytest
from samples import CALC, Repo
from scripted_model import Script, call

from tools.errors import UsageError

UNITTEST = {
    "calc.py": CALC,
    "checks/__init__.py": "",
    "checks/calc_checks.py": (
        "import unittest\n\nfrom calc import clamp, mean\n\n\n"
        "class Mean(unittest.TestCase):\n    def test_two(self):\n"
        "        self.assertEqual(mean([2, 4]), 3)\n\n    def test_one(self):\n"
        "        self.assertEqual(mean([5]), 5)\n\n\n"
        "class Clamp(unittest.TestCase):\n    def test_inside(self):\n"
        "        self.assertEqual(clamp(3, 0, 10), 3)\n"
    ),
}
NODE = {
    "package.json": '{"type": "module"}\n',
    "calc.js": "export const mean = (v) => v.reduce((a, b) => a + b, 0) / (v.length + 1);\n",
    "test/calc.test.js": (
        "import { test } from 'node:test';\nimport assert from 'node:assert';\n"
        "import { mean } from '../calc.js';\n\n"
        "test('mean of two', () => assert.strictEqual(mean([2, 4]), 3));\n"
        "test('mean of none', () => assert.ok(Number.isNaN(mean([0, NaN]))));\n"
    ),
}


def config(thread: str) -> dict[str, Any]:
    return {"configurable": {"thread_id": thread}}


async def test_engine_suite_of_unittest_gets_verified_patch(
    engine_graph: Any, repo: Repo, patch_of: Callable[[Any], str]
) -> None:
    tests = "python -m unittest discover -s checks -p '*_checks.py' -t ."
    given = {"source": str(repo(UNITTEST)), "tests": tests}
    state = await engine_graph.ainvoke(given, config("unittest-engine"))
    assert state["report"]["status"] == "verified", state["report"]
    assert set(state["report"]["fixed"]) == {
        "checks/calc_checks.py::Mean::test_two",
        "checks/calc_checks.py::Mean::test_one",
    }
    assert "diff --git a/calc.py b/calc.py" in patch_of(state)


async def test_scripted_model_suite_of_node_is_found_and_gets_verified_patch(
    scripted_graph: Any, engine_graph: Any, repo: Repo, patch_of: Callable[[Any], str]
) -> None:
    source = {"source": str(repo(NODE))}
    fix = call("replace", path="calc.js", old="(v.length + 1)", new="v.length")
    target = "test/calc.test.js::mean of two"
    before, after = call("run_tests", tests=[target, "test/gone.js"]), call("run_tests")
    script = Script(coder=[before, fix, after, call("hand_in", summary="done")])
    state = await scripted_graph(script).ainvoke(source, config("node-scripted"))
    answers = [message.text for message in state["messages"] if message.type == "tool"]
    assert answers[0].startswith("1 failed, in ")
    assert f"not found: test/gone.js\nFAILED {target}\nAssertionError" in answers[0]
    assert answers[2].startswith("3 passed, in ")
    report = state["report"]
    assert (report["status"], report["coder"]) == ("verified", "scripted"), report
    assert report["fixed"] == [target]
    assert state["tests"] == "node --test"
    assert "+export const mean = (v) => v.reduce((a, b) => a + b, 0) / v.length;\n" in patch_of(
        state
    )
    with pytest.raises(UsageError, match="engine repairs Python; tests of node need a model"):
        await engine_graph.ainvoke(source, config("node-engine"))
