"""Planner: analyses the repository, runs its tests as they are, and says what is to be done."""

from langchain_core.messages import HumanMessage

from nodes import events
from nodes.budgets import model_budget
from nodes.context import Step, Update
from nodes.models import PROMPTS, ask
from nodes.state import Plan, State, Usage
from nodes.testing import BASELINE, baseline_bytes, record_run, run_suite
from tools.analysis import (
    MAP_TOKENS,
    Analysis,
    Evidence,
    Ranking,
    analyze_repository,
    failing_test,
    known_analysis,
)
from tools.errors import EnvironmentFaultError, UsageError
from tools.pytest_run import TestRun

SUSPECTS = 8
"""Files a plan names at most."""

FAILURES = 20
"""Failing tests whose messages are looked at for where the fault is."""


async def planner(state: State, step: Step) -> Update:
    """Reads `base` and `task`; writes `baseline`, `plan` and `base_snapshot`."""
    analysis = await _analyse(state, step)
    desktop = await step.desktop()
    run = await run_suite(state, step, desktop, "baseline")
    model = await step.model()
    _refuse_unusable(state, run, has_model=model is not None)
    await desktop.fs.write_file(BASELINE, baseline_bytes(run))
    baseline = await record_run(step, run, "baseline", 0, snapshot=state["desktop"]["snapshot"])
    step.emit(events.Baseline(collected=baseline["collected"], failing=baseline["failing"]))
    ranking = await step.record(analysis.rank, _evidence(state.get("task", ""), run))
    plan = _plan(state.get("task", ""), run, analysis, ranking)
    update: Update = {"baseline": baseline}
    if model is not None and not model_budget(state):
        shown = await step.record(analysis.map, ranking, tokens=MAP_TOKENS)
        question = HumanMessage(_question(plan, run, shown))
        notes, usage = await ask(step, model, [PROMPTS["planner"], question])
        _refuse_uncounted(state, usage)
        plan["notes"], update["usage"] = str(notes.text)[:4000], usage
    step.emit(events.Planned(goal=plan["goal"], suspects=plan["suspects"]))
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


def _refuse_unusable(state: State, run: TestRun, *, has_model: bool) -> None:
    """Raise for a baseline from which no verdict could ever follow."""
    task = state.get("task", "")
    if run.timed_out:
        limit = "raise SENTIENT_SUITE_TIMEOUT_S or name fewer tests with --tests"
        raise EnvironmentFaultError(f"the tests did not end within {run.seconds:.0f} s", hint=limit)
    if run.errors and not run.tests:
        first = run.errors[0]
        reason = first.message.strip().splitlines()[-1:] or ["no reason given"]
        raise UsageError(f"pytest cannot collect {first.id or 'the tests'}: {reason[0].strip()}")
    if not run.collected:
        if run.exit_status not in (None, 0, 5):
            raise UsageError(f"pytest cannot start: {_last_words(run.log)}")
        raise UsageError("the repository has no tests", hint="a verdict needs some")
    if run.failing or (task and has_model):
        return
    if task:
        raise UsageError(
            "no test fails, and a task in words needs a model",
            hint="set OPENAI_API_KEY or OPENAI_BASE_URL, and --model NAME",
        )
    raise UsageError("no test fails and no --task is given: there is nothing to do")


def _refuse_uncounted(state: State, usage: Usage) -> None:
    if state.get("max_tokens") and not usage["input_tokens"]:
        raise UsageError(
            f"the model endpoint counts no tokens, so max_tokens={state['max_tokens']} cannot hold",
            hint="bound the run by --max-seconds or --max-attempts instead",
        )


def _last_words(log: str) -> str:
    lines = [line for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if "Error" in line or line.startswith("ERROR")]
    return (errors or lines or ["it printed nothing"])[-1].strip()[:300]


def _evidence(task: str, run: TestRun) -> Evidence:
    """What the task and the failing tests say about where the fault is."""
    failing = run.failing[:FAILURES]
    return Evidence(task, [failing_test(test, run.message(test)) for test in failing])


def _plan(task: str, run: TestRun, analysis: Analysis, ranking: Ranking) -> Plan:
    """Name the files that the evidence points at, the likeliest first."""
    count = len(run.failing)
    goal = task or f"make {count} failing test{'s' if count != 1 else ''} pass, break none"
    suspects = [analysis.corpus.paths[number] for number in ranking.suspects[:SUSPECTS]]
    return Plan(goal=goal, targets=run.failing[:200], suspects=suspects, notes="")


def _question(plan: Plan, run: TestRun, map_: str) -> str:
    failures = "\n\n".join(f"{test}\n{run.message(test)[-1500:]}" for test in plan["targets"][:10])
    return (
        f"Goal: {plan['goal']}\n\nFailing tests ({len(plan['targets'])}):\n{failures or 'none'}"
        f"\n\nRepository map, likeliest files first:\n{map_}"
    )
