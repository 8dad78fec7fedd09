"""Runs of unittest's and Node's suites in a real desktop: every end a test can come to."""

import re

from tools.check import Suite, check
from tools.connection import Connection
from tools.desktop import Desktop
from tools.journal import Journal
from tools.layout import MARKS, REPO
from tools.results import TestRun
from tools.runners import runner_of
from tools.settings import Settings
from tools.suite import run_tests

CALC = "def mean(values):\n    return sum(values) / (len(values) + 1)\n"
TEST_CALC = """\
import os, sys, time, unittest
from calc import mean

class TestMean(unittest.TestCase):
    def test_two(self): self.assertEqual(mean([2, 4]), 3)
    def test_parts(self):
        for part in range(3):
            with self.subTest(part=part): self.assertNotEqual(part, 1)
    def test_name(self): self.assertEqual(sys._getframe().f_code.co_name, "test_name")
    @unittest.expectedFailure
    def test_known(self): self.fail()
    @unittest.skip("not here")
    def test_skipped(self): pass
    def test_sleeps(self):
        try: time.sleep(60)
        except Exception: pass
    def test_dies(self): os._exit(0)

class TestFixture(unittest.TestCase):
    @classmethod
    def setUpClass(cls): raise ValueError("no fixture")
    def test_a(self): pass

class TestTearDown(unittest.TestCase):
    @classmethod
    def tearDownClass(cls): raise ValueError("no end")
    def test_a(self): pass
    def test_b(self): self.assertEqual(sys.stdin.read(), "")

class TestAsync(unittest.IsolatedAsyncioTestCase):
    async def test_a(self): pass

def load_tests(loader, tests, pattern):
    tests.addTest(TestAsync("test_a"))
    return tests
"""
OUTCOMES = {
    "TestMean::test_two": "failed",
    "TestMean::test_parts": "failed",
    "TestMean::test_name": "passed",
    "TestMean::test_known": "xfailed",
    "TestMean::test_skipped": "skipped",
    "TestMean::test_sleeps": "timeout",
    "TestMean::test_dies": "crashed",
    "TestFixture::test_a": "error",
    "TestTearDown::test_a": "passed",
    "TestTearDown::test_b": "error",
    "TestAsync::test_a": "passed",
    "TestAsync::test_a[2]": "passed",
}
NODE = {
    "test/calc.test.js": (
        "const { test, describe, it } = require('node:test');\n"
        "const assert = require('node:assert');\nassert.equal = () => {};\n"
        "test('wrong', () => assert.equal(1, 2));\n"
        "test('parts', async (t) => { await t.test('one', () => {}); });\n"
        "test('skipped', { skip: true }, () => {});\n"
        "test('known', { todo: true }, () => assert.ok(false));\n"
        "describe('group', () => { it('same', () => {}); it('same', () => assert.ok(0)); });\n"
        "test('secret', () => assert.ok(!process.env.SENTIENT_CANARY));\n"
    ),
    "test/exits.test.mjs": (
        "import test from 'node:test';\ntest('one', () => {});\n"
        "test('two', () => process.exit(0));\n"
    ),
    "test/hangs.test.mjs": (
        "import test from 'node:test';\nawait test('one', () => {});\n"
        "test('two', async () => { await new Promise((done) => setTimeout(done, 60000)); });\n"
    ),
    "test/missing.test.js": "require('./nowhere.js');\n",
}
NODE_OUTCOMES = {
    "test/calc.test.js": "passed",
    "test/calc.test.js::wrong": "failed",
    "test/calc.test.js::parts": "passed",
    "test/calc.test.js::parts::one": "passed",
    "test/calc.test.js::skipped": "skipped",
    "test/calc.test.js::known": "xfailed",
    "test/calc.test.js::group": "passed",
    "test/calc.test.js::group::same": "passed",
    "test/calc.test.js::group::same[2]": "failed",
    "test/calc.test.js::secret": "passed",
    "test/exits.test.mjs": "failed",
    "test/hangs.test.mjs": "failed",
    "test/hangs.test.mjs::one": "passed",
    "test/hangs.test.mjs::two": "timeout",
    "test/missing.test.js": "failed",
}


def outcomes(run: TestRun) -> dict[str, str]:
    return {test.id: test.outcome for test in run.tests}


async def run(desktop: Desktop, command: str, **options: object) -> TestRun:
    limits = {"suite_timeout_s": 60, "test_timeout_s": 1}
    return await run_tests(desktop, runner_of(command), **limits, **options)  # type: ignore[arg-type]


async def journal(desktop: Desktop) -> Journal:
    mark = "dirty.head.act-1.token.0"
    await desktop.fs.write_file(f"{MARKS}/{mark}", "")

    async def confirm() -> None:
        pass

    return Journal(desktop, mark, confirm, adopted=False)


async def test_run_unittest_and_node_every_end_of_a_test_is_told(settings: Settings) -> None:
    async with await Desktop.create(lifecycle="ephemeral", connection=Connection(settings)) as desk:
        files = {"calc.py": CALC, "test_calc.py": TEST_CALC, "test_bad.py": "import nowhere\n"}
        await desk.fs.write_files({f"{REPO}/{path}": text for path, text in files.items()})
        suite = await run(desk, "python -m unittest")
        assert outcomes(suite) == {f"test_calc.py::{name}": end for name, end in OUTCOMES.items()}
        assert set(suite.collected) == set(outcomes(suite))
        assert [error.id for error in suite.errors] == ["test_bad"]
        assert (suite.finished, suite.canaries, suite.believable) == (True, 3, True)
        wanted = ["test_calc.py::TestMean::test_name", "test_calc.py::TestMean::test_two"]
        suite_of_coder = Suite(runner_of("python -m unittest"), 60, test_timeout_s=1)
        told, name = await check(await journal(desk), suite_of_coder, wanted, "call-1")
        assert told.startswith("1 passed, 1 failed, in ")
        assert re.search(r"\nFAILED test_calc.py::TestMean::test_two\n.*: 2.0 != 3$", told, re.S)
        assert name
        masked = await run(desk, "python -m unittest", masked=True, only=wanted)
        assert outcomes(masked) == dict.fromkeys(wanted, "failed")
        traced = await run(desk, "python -m unittest", only=wanted, traced="functions")
        assert traced.executed
        calls = traced.executed.calls()
        assert {("calc.py", 2), ("test_calc.py", 5)} <= calls[wanted[1]]
        assert ("calc.py", 2) not in calls[wanted[0]]
        await desk.fs.write_files({f"{REPO}/{path}": text for path, text in NODE.items()})
        suite = await run(desk, "node --test")
        assert outcomes(suite) == NODE_OUTCOMES
        assert set(suite.collected) == set(NODE_OUTCOMES)
        assert "Cannot find module './nowhere.js'" in suite.message("test/missing.test.js")
        assert (suite.finished, suite.canaries, suite.believable) == (True, 2, True)
        only = await run(desk, "node --test", only=["test/calc.test.js::wrong"])
        assert outcomes(only) == {"test/calc.test.js::wrong": "failed"}
