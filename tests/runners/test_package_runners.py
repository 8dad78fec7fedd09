"""Repairs of repositories whose tests are vitest's or jest's: real packages, a scripted coder."""

import json
import re
from typing import Any

import pytest
from samples import Repo
from scripted_model import Script, call, scripted_model

from checkpoints.ledger import Ledger
from graphs.engineering import make_graph
from tools.settings import Settings

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
