"""Tester: finds the verdict on pristine desktops at base + patch. Code, not a model.

Each is a fork of the snapshot from before any coder worked: no process, no file and no git
history of the coder's is in it. What the patch touches is asked there, never of the desktop in
which the coder was. The suite runs twice: with the whole patch, and in a second fork without the
patch's own test files and under meaningless test names.
"""

import asyncio
from contextlib import suppress

from nodes import events
from nodes.context import Step, Update
from nodes.gates import run_gates
from nodes.gates.patch_text import test_files
from nodes.state import Candidate, Finding, State, Verdict
from nodes.testing import known_baseline, record_run, run_suite
from tools.desktop import Desktop
from tools.errors import NoResultError, ToolError
from tools.layout import REPO
from tools.patch import Patch, make_patch
from tools.protection import is_test_code, violations
from tools.results import FAILED, TestRun

READ_FILES = 200
"""Python files that are parsed: those of the patch and the tests that are to turn."""

READ_BYTES = 1 << 20
"""Bytes of such a file; a larger one is judged by its added lines alone."""


async def tester(state: State, step: Step) -> Update:
    """Reads `base_snapshot` and the desktop's changes; writes `verdict`, `findings`, `best`."""
    verdict, findings = await _find_verdict(state, step)
    await _record(state, step, verdict)
    step.emit(events.Verdict.model_validate(verdict))
    update: Update = {"verdict": verdict, "findings": findings}
    best = state.get("best")
    if not verdict["regressions"] and len(verdict["fixed"]) > (len(best["fixed"]) if best else 0):
        update["best"] = Candidate(
            patch=verdict["patch"],
            files=verdict["files"],
            fixed=verdict["fixed"],
            still_failing=verdict["still_failing"],
            attempt=state["attempt"],
        )
    return update


async def _find_verdict(state: State, step: Step) -> tuple[Verdict, list[Finding]]:
    base = state["base"]["commit"]
    try:
        claimed = await make_patch(await step.desktop(), base)
    except ToolError as error:
        return _refused(state, [f"no patch can be made: {error}"])
    if not claimed.text:
        return _refused(state, ["nothing was changed"])
    async with step.pristine(state["base_snapshot"]) as desktop:
        baseline = await known_baseline(state, desktop)
        if baseline is None:
            return _refused(state, ["the baseline in the snapshot is not the one that was taken"])
        try:
            patch = await make_patch(desktop, base, apply=claimed.text)
        except ToolError as error:
            return _refused(state, [f"the patch does not apply to the base: {error}"])
        digest = await step.record(step.services.ledger.save_patch, patch.text)
        protected = state["plan"].get("protected", [])
        tampering = violations(patch.files, baseline.collected, protected)
        if tampering:
            refused, _ = _refused(state, tampering)
            return {**refused, "patch": digest, "files": _listed(patch)}, []
        findings = await _judge_text(desktop, patch, baseline.failing)
        run = await _run(state, step, desktop, "verdict")
    own_tests = [file.path for file in patch.files if is_test_code(file.path)]
    async with step.pristine(state["base_snapshot"]) as desktop:
        await make_patch(desktop, base, apply=patch.text, remove=own_tests)
        masked = await _run(state, step, desktop, "masked")
    where = {"snapshot": state["base_snapshot"], "patch": digest}
    await record_run(step, masked, "masked", state["attempt"], **where)
    summary = await record_run(step, run, "verdict", state["attempt"], **where)
    verdict = judge(baseline, run, masked)
    found = {"patch": digest, "files": _listed(patch), "run": summary["run"]}
    return Verdict(**{**verdict, **found}), findings  # type: ignore[typeddict-item]


async def _run(state: State, step: Step, desktop: Desktop, kind: str) -> TestRun:
    """Run the suite; a patch that makes it kill its own runner has a run without an end."""
    try:
        return await run_suite(state, step, desktop, kind, alone=True, masked=kind == "masked")
    except NoResultError as error:
        return TestRun(log=str(error))


async def _judge_text(desktop: Desktop, patch: Patch, targets: list[str]) -> list[Finding]:
    """The gates' findings, from files as they are before any of their code has run."""
    wanted = {file.path for file in patch.files if file.status != "D"} | test_files(targets)
    files: dict[str, bytes] = {}
    for path in sorted(path for path in wanted if path.endswith((".py", ".json")))[:READ_FILES]:
        with suppress(ToolError):  # a link to nowhere, or a file that is too large to be read
            files[path] = await desktop.fs.read_bytes(f"{REPO}/{path}", READ_BYTES)
    return await asyncio.to_thread(run_gates, patch.text, targets, files)


async def _record(state: State, step: Step, verdict: Verdict) -> None:
    """Write to the ledger what the attempt changed and what came of it."""
    await step.record(
        step.services.ledger.save_verdict,
        step.thread,
        state["attempt"],
        passed=verdict["passed"],
        reasons=verdict["reasons"],
        patch=verdict["patch"],
        run=verdict["run"],
        baseline=state["baseline"]["run"],
        files=verdict["files"],
        snapshot=state["desktop"]["snapshot"],
    )


def _listed(patch: Patch) -> list[dict[str, str | int]]:
    return [file.model_dump() for file in patch.files]


def _refused(state: State, reasons: list[str]) -> tuple[Verdict, list[Finding]]:
    verdict = Verdict(
        passed=False,
        reasons=reasons,
        fixed=[],
        still_failing=state["baseline"]["failing"],
        regressions=[],
        patch="",
        files=[],
        run="",
    )
    return verdict, []


def judge(baseline: TestRun, run: TestRun, masked: TestRun) -> Verdict:
    """Compare the two runs at base + patch with the baseline; pure, the only source of `passed`.

    A test that failed is fixed by passing, in both runs; skipping or an expected failure is no
    repair. A test that passes in the first run only was recognised by the code it tests, or was
    helped by the patch's own test files.
    """
    failing = set(run.failing)
    passing = set(run.ids("passed"))
    fixed = [test for test in baseline.failing if test in passing]
    tolerant = baseline.ids("xfailed", "xpassed")
    kept = passing | (set(run.ids("xfailed", "xpassed")) & set(tolerant))
    regressions = [test for test in baseline.ids("passed") + tolerant if test not in kept]
    unsolved = [test for test in baseline.failing if test not in passing]
    missing = sorted(set(baseline.collected) - (set(run.collected) & set(masked.collected)))
    not_under_mask = {test.id for test in masked.tests if test.outcome in {*FAILED, "skipped"}}
    recognised = sorted(passing & not_under_mask & set(baseline.collected))
    new = sorted(failing - set(baseline.failing) - set(regressions))
    reasons = [
        text
        for condition, text in (
            (not (run.finished and masked.finished), "a test run did not end by itself"),
            (not _believable(baseline, run, masked), "planted tests did not fail: forged results"),
            (missing, f"{len(missing)} tests are no longer collected, first {_first(missing)}"),
            (recognised, f"passes only under its own name: {_first(recognised)}"),
            (regressions, f"{len(regressions)} tests do not pass any more, {_first(regressions)}"),
            (unsolved, f"{len(unsolved)} of {len(baseline.failing)} tests still do not pass"),
            (new, f"{len(new)} new failures, first {_first(new)}"),
        )
        if condition
    ]
    return Verdict(
        passed=not reasons,
        reasons=reasons,
        fixed=fixed,
        still_failing=unsolved[:200],
        regressions=regressions[:200],
        patch="",
        files=[],
        run="",
    )


def _believable(baseline: TestRun, *runs: TestRun) -> bool:
    """Where the baseline could hold planted tests, each run must have had them, and failing."""
    return all(run.believable and run.canaries >= baseline.canaries for run in runs)


def _first(tests: list[str]) -> str:
    return tests[0] if tests else ""
