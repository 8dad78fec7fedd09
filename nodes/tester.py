"""Tester: finds the verdict on a pristine desktop at base + patch. Code, not a model.

The desktop is a fork of the snapshot from before any coder worked: no process, no file and no
git history of the coder's is in it. Only the patch is applied, and protected files are put back.
"""

from nodes.context import Step, Update
from nodes.state import Candidate, State, Verdict
from nodes.testing import BASELINE, record_run, run_suite
from tools.desktop import Desktop
from tools.errors import ToolError, UsageError
from tools.patch import Patch, apply_patch, make_patch, restore_paths
from tools.protection import is_protected, violations
from tools.pytest_run import TestRun


async def tester(state: State, step: Step) -> Update:
    """Reads `base_snapshot` and the desktop's changes; writes `verdict` and `best`."""
    try:
        patch = await make_patch(await step.desktop(), state["base"]["commit"])
    except (ToolError, UsageError) as error:
        return {"verdict": _refused([f"no patch can be made: {error}"]), "findings": []}
    if not patch.files:
        return {"verdict": _refused(["nothing was changed"]), "findings": []}
    digest = await step.record(step.services.ledger.save_patch, patch.text)
    verdict = await _judge_pristine(state, step, patch, digest)
    step.emit("verdict", **verdict)
    update: Update = {"verdict": verdict, "findings": []}
    best = state.get("best")
    if not verdict["regressions"] and len(verdict["fixed"]) > (best["fixed"] if best else 0):
        update["best"] = Candidate(
            patch=digest, fixed=len(verdict["fixed"]), attempt=state["attempt"]
        )
    return update


def _refused(reasons: list[str], patch: str = "") -> Verdict:
    return Verdict(
        passed=False,
        reasons=reasons,
        fixed=[],
        still_failing=[],
        regressions=[],
        patch=patch,
        run="",
    )


async def _judge_pristine(state: State, step: Step, patch: Patch, digest: str) -> Verdict:
    desktops = step.services.desktops
    async with await desktops.create_pristine(step.thread, state["base_snapshot"]) as desktop:
        baseline = TestRun.model_validate_json(await desktop.fs.read_bytes(BASELINE))
        try:
            await _apply(desktop, patch, state["base"]["commit"])
        except UsageError as error:
            return _refused([f"the patch does not apply to the base: {error}"], digest)
        run = await run_suite(state, step, desktop, "verdict")
        masked = await run_suite(state, step, desktop, "masked", masked=True)
    summary = await record_run(step, run, "verdict", state["attempt"], digest)
    verdict = judge(baseline, run, masked, violations(patch.files))
    return {**verdict, "patch": digest, "run": summary["run"]}


async def _apply(desktop: Desktop, patch: Patch, base_commit: str) -> None:
    """Apply the whole patch, then take every protected file from the base."""
    await apply_patch(desktop, patch.text)
    await restore_paths(
        desktop, base_commit, [file.path for file in patch.files if is_protected(file.path)]
    )


def judge(baseline: TestRun, run: TestRun, masked: TestRun, tampering: list[str]) -> Verdict:
    """Compare a run at base + patch with the baseline; pure, and the only source of `passed`.

    `masked` is the same suite under meaningless test names: a test that passes only under its own
    name was recognised by the code it tests.
    """
    failing, before = set(run.failing), set(baseline.failing)
    passing = set(run.ids("passed", "xfailed"))
    fixed = [test for test in baseline.failing if test in passing]
    held = baseline.ids("passed", "xfailed", "xpassed")
    regressions = [test for test in held if test not in passing and test not in run.ids("xpassed")]
    still_failing = [test for test in run.failing if test in before]
    missing = sorted(set(baseline.collected) - set(run.collected))
    recognised = sorted(passing & set(masked.failing))
    reasons = list(tampering)
    if not run.finished:
        reasons.append("the test run did not end by itself")
    if missing:
        reasons.append(f"{len(missing)} tests are no longer collected, first {missing[0]}")
    if recognised:
        reasons.append(f"passes only under its own name: {recognised[0]}")
    if regressions:
        reasons.append(
            f"{len(regressions)} tests that passed before do not, first {regressions[0]}"
        )
    unsolved = [test for test in baseline.failing if test not in passing]
    if unsolved:
        reasons.append(
            f"{len(unsolved)} of {len(baseline.failing)} failing tests still do not pass"
        )
    new = sorted(failing - before - set(held))
    if new:
        reasons.append(f"{len(new)} new failures, first {new[0]}")
    return Verdict(
        passed=not reasons,
        reasons=reasons,
        fixed=fixed,
        still_failing=still_failing[:200],
        regressions=regressions[:200],
        patch="",
        run="",
    )
