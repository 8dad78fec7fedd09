"""Repairs of repositories whose tests are vitest's or jest's: real packages, a scripted coder."""

import json
import re
from typing import Any

import pytest
from samples import Repo
from scripted_model import Script, call, scripted_model

from checkpoints.ledger import Ledger
from graphs.engineering import make_graph
from tools.connection import Connection
from tools.desktop import Desktop
from tools.layout import REPO
from tools.runners import runner_of
from tools.settings import Settings
from tools.suite import run_tests

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

IMPORT = {"vitest": "import { describe, expect, it, test } from 'vitest';\n", "jest": ""}
NEEDED = {"vitest": {"vitest": ">=3"}, "jest": {"jest": ">=29"}}
MEAN = "export const mean = (v: number[]) => v.reduce((a, b) => a + b, 0) / (v.length + 1);\n"
TEST = (
    "import { mean } from '../src/calc';\n\n"
    "describe('mean', () => {\n  it('of two', () => expect(mean([2, 4])).toBe(3));\n"
    "  it('of zero', () => expect(mean([0])).toBe(0));\n});\n"
)


def repository(runner: str) -> dict[str, str]:
    """A wrong mean and its tests: in TypeScript for vitest, in CommonJS for jest."""
    package = {"devDependencies": NEEDED[runner], "scripts": {"test": runner}}
    files = {"package.json": json.dumps(package)}
    if runner == "vitest":
        config = (
            "import { defineConfig } from 'vitest/config';\n\n"
            "export default defineConfig({ test: { setupFiles: ['./src/start.ts'] } });\n"
        )
        return files | {
            "vitest.config.ts": config,
            "src/start.ts": "export {};\n",
            "src/calc.ts": MEAN,
            "src/calc.spec.ts": IMPORT["vitest"] + TEST.replace("../src/calc", "./calc"),
        }
    return files | {
        "src/calc.js": MEAN.replace("export const ", "exports.").replace(": number[]", ""),
        "__tests__/calc.js": re.sub(r"import (.*) from ('.*')", r"const \1 = require(\2)", TEST),
    }


ENDS = {
    "test/calc.test.js": (
        "test('wrong', () => expect(1 + 1).toBe(3));\n"
        "test.skip('skipped', () => {});\ntest.todo('later');\n"
        "describe('group', () => {\n  it('same', () => {});\n"
        "  it('same', () => { throw Error('x'); });\n});\n"
        "test('slow', () => new Promise((done) => setTimeout(done, 60000)));\n"
        "test('secret', () => expect(Object.keys(process.env).join()).not.toMatch('CANARY'));\n"
        "test('snapshot', () => expect(1).toMatchSnapshot());\n"
    ),
    "test/exits.test.js": "test('one', () => {});\ntest('two', () => process.reallyExit(0));\n",
    "test/hangs.test.js": (
        "test('one', () => new Promise((done) => setTimeout(done, 400)));\n"
        "test('two', () => { for (;;); });\n"
    ),
    "test/matches.test.js": (
        "expect.extend({ toBe() { return { pass: true, message: () => '' }; } });\n"
        "test('one', () => expect(1).toBe(2));\n"
    ),
    "test/missing.test.js": "import './nowhere.js';\n",
}
OUTCOMES = {
    "test/calc.test.js": "passed",
    "test/calc.test.js::wrong": "failed",
    "test/calc.test.js::skipped": "skipped",
    "test/calc.test.js::later": "skipped",
    "test/calc.test.js::group::same": "passed",
    "test/calc.test.js::group::same[2]": "failed",
    "test/calc.test.js::slow": "timeout",
    "test/calc.test.js::secret": "passed",
    "test/calc.test.js::snapshot": "failed",
    "test/exits.test.js": "failed",
    "test/hangs.test.js::one": "passed",
    "test/matches.test.js": "passed",
    "test/matches.test.js::one": "passed",
    "test/missing.test.js": "failed",
}


@pytest.mark.parametrize("runner", ["vitest", "jest"])
async def test_run_every_end_of_a_test_is_told(
    runner: str, saver: Any, settings: Settings, repo: Repo
) -> None:
    thread = {"configurable": {"thread_id": f"ends-{runner}"}}
    given = {"source": str(repo(repository(runner)))}
    graph = make_graph(saver, settings)
    state = await graph.ainvoke(given, thread, interrupt_after=["prepare"])
    made = Desktop.create(
        template=state["environment"]["layer"],
        lifecycle="ephemeral",
        connection=Connection(settings),
    )
    async with await made as desktop:
        files = {path: IMPORT[runner] + text for path, text in ENDS.items()}
        await desktop.fs.write_files({f"{REPO}/{path}": text for path, text in files.items()})
        await desktop.fs.write_file(f"{REPO}/package.json", "{}")
        given = {"suite_timeout_s": 90, "test_timeout_s": 1}
        run = await run_tests(desktop, runner_of(runner), **given)
        found = {test.id: test.outcome for test in run.tests}
        assert {**found, **OUTCOMES} == found, run.log
        assert set(run.collected) == set(found)
        assert (found["test/hangs.test.js"], found.get("test/hangs.test.js::two")) in {
            ("timeout", "crashed"),  # whichever was last said to have begun
            ("failed", "timeout"),
        }
        assert (run.finished, run.timed_out, run.believable) == (True, False, False)
        one = ["test/calc.test.js::group::same[2]"]
        run = await run_tests(desktop, runner_of(runner), only=one, **given)
        assert [test.id for test in run.tests] == one
        assert (run.finished, run.believable, run.canaries) == (True, True, 1)
        run = await run_tests(desktop, runner_of(f"{runner} test/calc -t same"), **given)
        assert {test.id for test in run.tests if test.outcome != "skipped"} == {
            "test/calc.test.js", "test/calc.test.js::group::same", *one,
        }  # fmt: skip
        assert (run.finished, run.believable, run.canaries) == (True, True, 1)
        left = await desktop.exec("find ~/repo -newer ~/repo/package.json -type f")
        assert left.stdout == ""


@pytest.mark.parametrize("runner", ["vitest", "jest"])
async def test_suite_of_a_package_is_found_and_gets_verified_patch(
    runner: str, saver: Any, settings: Settings, repo: Repo
) -> None:
    files = repository(runner)
    path = next(name for name in files if name.startswith("src/calc") and "spec" not in name)
    test = next(name for name in files if "tests__" in name or "spec" in name)
    target = f"{test}::mean::of two"
    script = Script(
        coder=[
            call("run_tests", tests=[target]),
            call("replace", path=path, old="(v.length + 1)", new="v.length"),
            call("run_tests"),
            call("hand_in", summary="done"),
        ]
    )
    with scripted_model(script) as url:
        update = {"model": "scripted", "openai_base_url": url}
        graph = make_graph(saver, settings.model_copy(update=update))
        thread = {"configurable": {"thread_id": f"repair-{runner}"}}
        state = await graph.ainvoke({"source": str(repo(files))}, thread)
    report = state["report"]
    assert (report["status"], report["coder"]) == ("verified", "scripted"), state["verdict"]
    assert state["tests"] == runner
    assert (report["fixed"], state["baseline"]["failing"]) == ([target], [target])
    answers = [message.text for message in state["messages"] if message.type == "tool"]
    assert answers[0].startswith("1 failed, in ")
    assert f"FAILED {target}" in answers[0]
    assert answers[2].startswith("3 passed, in ")
    patch = Ledger(settings.home / "ledger.db").patch(report["patch"]) or ""
    assert f"diff --git a/{path} b/{path}" in patch
