"""Planner: analyses the repository, runs its tests as they are, and says what is to be done."""

from collections.abc import Sequence

from nodes import events
from nodes.context import Step, Update
from nodes.model.client import PROMPTS
from nodes.model.structured import Reply, ask_for
from nodes.plans import NOTES, SUSPECTS, PlanReply, clipped, named_files, planned
from nodes.state import LISTED_TESTS, Executed, Plan, State
from nodes.testing import BASELINE, baseline_bytes, record_run, run_suite
from nodes.verdict.flakes import without_flaky
from tools.analysis import (
    MAP_TOKENS,
    Analysis,
    Evidence,
    Ranking,
    Touched,
    analyze_repository,
    failing_test,
    known_analysis,
)
from tools.desktop import Desktop
from tools.errors import EnvironmentFaultError, UsageError
from tools.repository import existing
from tools.results import FLAKY, TestRun
from tools.runners import SUPPORTED, detected_command, runner_of

FAILURES = 20
"""Failing tests whose messages are looked at for where the fault is."""


EXECUTED = 30
"""Files of which state keeps what failing tests executed: those that rank best."""


async def planner(state: State, step: Step) -> Update:
    """Reads `base` and `task`; writes `baseline`, `executed`, `plan` and `base_snapshot`."""
    analysis = await _analyse(state, step)
    desktop = await step.desktop()
    state = {**state, "tests": state.get("tests") or detected_command(analysis.profile)}
    run = await run_suite(state, step, desktop, "baseline")
    model = await step.model()
    traced = model is not None and runner_of(state["tests"]).is_python
    run = await without_flaky(state, step, desktop, run, traced=traced)
    _refuse_unusable(state, run, analysis, has_model=model is not None)
    await desktop.fs.write_file(BASELINE, baseline_bytes(run))
    baseline = await record_run(step, run, "baseline", 0, snapshot=state["desktop"]["snapshot"])
    step.emit(events.Baseline.model_validate(baseline))
    executed = await step.record(analysis.touched, run)
    evidence = _evidence(state.get("task", ""), run, executed)
    ranking = await step.record(analysis.rank, evidence)
    plan = _plan(state.get("task", ""), run, analysis, ranking)
    best = {analysis.corpus.paths[number] for number in ranking.everything[:EXECUTED]}
    update: Update = {
        "baseline": baseline,
        "tests": state["tests"],
        "executed": [_plain(file) for file in executed if file.path in best],
    }
    if model is not None:
        shown = await step.record(analysis.map, ranking, tokens=MAP_TOKENS)
        question = _question(plan, run, shown)
        reply = await ask_for(step, state, model, PROMPTS["planner"], question, PlanReply)
        if reply.usage["calls"]:  # without room for a call the plan has no notes
            plan = await _planned(plan, reply, state, desktop)
        if reply.value and reply.value.gives_up:
            update["gave_up"] = f"the planner says: {reply.value.impossible}"
    step.emit(events.Planned.model_validate(plan))
    # last, so that a failure before it leaves no snapshot that nothing names
    return {**update, "plan": plan, "base_snapshot": await step.snapshot(desktop)}


async def _analyse(state: State, step: Step) -> Analysis:
    """The analysis of the base; only files that no thread ever analysed are parsed for it."""
    store, tree = step.services.ledger.analyses, state["base"]["tree"]
    analysis: Analysis | None = await step.record(known_analysis, store, tree)
    if analysis is None:
        desktop = await step.desktop()
        analysis = await analyze_repository(desktop, store, tree, step.settings.grammars)
    step.emit(events.Analysis(summary=analysis.summary(), cached=analysis.known, new=analysis.new))
    return analysis


def _refuse_unusable(state: State, run: TestRun, analysis: Analysis, *, has_model: bool) -> None:
    """Raise for a baseline from which no verdict could ever follow."""
    task, runner = state.get("task", ""), runner_of(state["tests"])
    if run.timed_out:
        limit = "raise SENTIENT_SUITE_TIMEOUT_S or name fewer tests with --tests"
        raise EnvironmentFaultError(f"the tests did not end within {run.seconds:.0f} s", hint=limit)
    if run.errors and not run.tests:
        first = run.errors[0]
        reason = (first.message.strip().splitlines() or ["no reason given"])[-1].strip()
        raise UsageError(
            f"{runner.name} cannot collect {first.id or 'the tests'}: {reason}",
            hint=_missing(state),
        )
    if not run.collected:
        if run.exit_status not in (None, 0, 5):
            raise UsageError(
                f"{runner.name} cannot start: {_last_words(run.log)}", hint=_missing(state)
            )
        kinds = ", ".join(analysis.profile.tests.frameworks) or "none"
        hint = f"its test frameworks: {kinds}; supported with --tests: {SUPPORTED}"
        raise UsageError(f"the repository has no tests that {runner.name} finds", hint=hint)
    if not (runner.is_python or has_model):
        raise UsageError(
            f"the offline engine repairs Python; tests of {runner.name} need a model",
            hint="set OPENAI_API_KEY or OPENAI_BASE_URL, and --model NAME",
        )
    if run.failing or (task and has_model):
        return
    if task:
        raise UsageError(
            "no test fails, and a task in words needs a model",
            hint="set OPENAI_API_KEY or OPENAI_BASE_URL, and --model NAME",
        )
    flaky = run.ids(FLAKY)
    if flaky:
        raise UsageError(
            f"no test fails each time: {len(flaky)} fail and pass at the same files, {flaky[0]}",
            hint="give a --task, and a model, to have them made reliable",
        )
    raise UsageError("no test fails and no --task is given: there is nothing to do")


def _missing(state: State) -> str:
    """Why what the tests need may not be there."""
    environment = state.get("environment")
    if environment is None or environment["status"] == "off":
        return "nothing was installed for the tests"
    first = f"{environment['detail']}\n".splitlines()[0]
    return f"not installed: {first}" if first else ""


def _last_words(log: str) -> str:
    lines = [line for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if "Error" in line or line.startswith("ERROR")]
    return (errors or lines or ["it printed nothing"])[-1].strip()[:300]


def _evidence(task: str, run: TestRun, executed: Sequence[Touched]) -> Evidence:
    """What the task and the failing tests say about where the fault is."""
    failing = run.failing[:FAILURES]
    return Evidence(task, [failing_test(test, run.message(test)) for test in failing], executed)


def _plain(file: Touched) -> Executed:
    return Executed(path=file.path, score=file.score, lines=list(file.lines))


def _plan(task: str, run: TestRun, analysis: Analysis, ranking: Ranking) -> Plan:
    """Name the files that the evidence points at, the likeliest first."""
    count = len(run.failing)
    goal = task or f"make {count} failing test{'s' if count != 1 else ''} pass, break none"
    suspects = [analysis.corpus.paths[number] for number in ranking.suspects[:SUSPECTS]]
    return Plan(goal=goal, targets=run.failing[:LISTED_TESTS], suspects=suspects, notes="")


async def _planned(plan: Plan, reply: Reply[PlanReply], state: State, desktop: Desktop) -> Plan:
    """The plan with what the model said; as it was, with its words, where they are no plan."""
    if reply.value is None:
        note = f"The model's answer was no plan: {reply.problem}"
        return {**plan, "notes": clipped(f"{note}\n\n{reply.text}", NOTES)}
    named = named_files(reply.value)
    return planned(plan, reply.value, await existing(desktop, state["base"]["commit"], named))


def _question(plan: Plan, run: TestRun, map_: str) -> str:
    failures = "\n\n".join(f"{test}\n{run.message(test)[-1500:]}" for test in plan["targets"][:10])
    return (
        f"Goal: {plan['goal']}\n\nFailing tests ({len(plan['targets'])}):\n{failures or 'none'}"
        f"\n\nRepository map, likeliest files first:\n{map_}"
    )
