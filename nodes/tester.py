"""Tester: finds the verdict on pristine desktops at base + patch. Code, not a model.

Each is a fork of the snapshot from before any coder worked: no process, no file and no git
history of the coder's is in it. What the patch touches is asked there, never of the desktop in
which the coder was. The suite runs twice: with the whole patch, and in a second fork without the
patch's own test files and under meaningless test names. What may be flaky runs again.
"""

import asyncio
from contextlib import suppress

from nodes import events
from nodes.context import Step, Update
from nodes.gates import objections
from nodes.gates.patch_text import Review, make_review, test_files
from nodes.gates.untested import changed_statements, covered, lines_of, untested_lines
from nodes.state import Best, Finding, State, Verdict
from nodes.testing import known_baseline
from nodes.verdict.flakes import findings as flaky_findings
from nodes.verdict.flakes import flaky_tests
from nodes.verdict.judging import judge
from nodes.verdict.mutants import surviving_mutants
from nodes.verdict.pristine import Pristine
from tools.desktop import Desktop
from tools.errors import ToolError
from tools.layout import REPO
from tools.patch import Patch, make_patch
from tools.protection import is_test_code, violations
from tools.results import TestRun

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
        update["best"] = Best(
            patch=verdict["patch"],
            files=verdict["files"],
            fixed=verdict["fixed"],
            still_failing=verdict["still_failing"],
            attempt=state["attempt"],
        )
    return update


async def _find_verdict(state: State, step: Step) -> tuple[Verdict, list[Finding]]:
    try:
        claimed = await make_patch(await step.desktop(), state["base"]["commit"])
    except ToolError as error:
        return _refused(state, [f"no patch can be made: {error}"])
    if not claimed.text:
        return _refused(state, ["nothing was changed"])
    if step.candidate:  # so that candidates never wait for each other with a desktop each
        await step.release()
    async with step.pristine(state["base_snapshot"]) as desktop:
        baseline = await known_baseline(state, desktop)
        if baseline is None:
            return _refused(state, ["the baseline in the snapshot is not the one that was taken"])
        try:
            patch = await make_patch(desktop, state["base"]["commit"], apply=claimed.text)
        except ToolError as error:
            return _refused(state, [f"the patch does not apply to the base: {error}"])
        digest = await step.record(step.services.ledger.save_patch, patch.text)
        protected = state["plan"].get("protected", [])
        in_use = [*baseline.collected, *baseline.configuration]
        tampering = violations(patch.files, in_use, protected)
        if tampering:
            return _refused(state, tampering, digest, patch)
        review = await _review(desktop, patch, baseline.failing)
        findings = await asyncio.to_thread(objections, review)
        changed = changed_statements(review)
        own_tests = [file.path for file in patch.files if is_test_code(file.path)]
        pristine = Pristine(state, step, patch.text, digest, own_tests)
        run = await pristine.run(desktop, "verdict", lines=lines_of(changed))
    findings += untested_lines(changed, run.reach, review, patch.text)
    verdict, flaky = await _judge_runs(pristine, baseline, run)
    findings += flaky
    if verdict["passed"] and not any(finding["blocking"] for finding in findings):
        findings += await surviving_mutants(pristine, changed, run.reach)
    return {
        **verdict,
        "patch": digest,
        "files": _listed(patch),
        "covered": covered(changed, run.reach),
    }, findings


async def _judge_runs(
    pristine: Pristine, baseline: TestRun, run: TestRun
) -> tuple[Verdict, list[Finding]]:
    """Run the suite masked, and again what may be flaky; compare all with the baseline."""
    async with pristine.fork(masked=True) as desktop:
        masked = await pristine.run(desktop, "masked", masked=True)
    flaky = await flaky_tests(pristine, baseline, run, masked)
    run, masked = run.with_flaky(flaky), masked.with_flaky(flaky)
    await pristine.record(masked, "masked")
    key = await pristine.record(run, "verdict")
    verdict = judge(baseline, run, masked)
    return {**verdict, "run": key}, flaky_findings(verdict.get("flaky", []))


async def _review(desktop: Desktop, patch: Patch, targets: list[str]) -> Review:
    """What the gates judge, from files as they are before any of their code has run."""
    wanted = {file.path for file in patch.files if file.status != "D"} | test_files(targets)
    files: dict[str, bytes] = {}
    for path in sorted(path for path in wanted if path.endswith((".py", ".json")))[:READ_FILES]:
        with suppress(ToolError):  # a link to nowhere, or a file that is too large to be read
            files[path] = await desktop.fs.read_bytes(f"{REPO}/{path}", READ_BYTES)
    return await asyncio.to_thread(make_review, patch.text, targets, files)


async def _record(state: State, step: Step, verdict: Verdict) -> None:
    """Write to the ledger what the attempt changed and what came of it."""
    await step.record(
        step.services.ledger.save_verdict,
        step.thread,
        state["attempt"],
        verdict,
        baseline=state["baseline"]["run"],
        snapshot=state["desktop"]["snapshot"],
        candidate=step.candidate,
    )


def _listed(patch: Patch) -> list[dict[str, str | int]]:
    return [file.model_dump() for file in patch.files]


def _refused(
    state: State, reasons: list[str], digest: str = "", patch: Patch | None = None
) -> tuple[Verdict, list[Finding]]:
    verdict = Verdict(
        passed=False,
        reasons=reasons,
        fixed=[],
        still_failing=state["baseline"]["failing"],
        regressions=[],
        patch=digest,
        files=_listed(patch) if patch else [],
        run="",
    )
    return verdict, []
