"""Planner: analyses the repository, runs its tests as they are, and says what is to be done."""

import re

from langchain_core.messages import HumanMessage

from nodes.budgets import model_budget
from nodes.context import Step, Update
from nodes.models import PROMPTS, ask
from nodes.state import Plan, State, Usage
from nodes.testing import BASELINE, baseline_bytes, record_run, run_suite
from tools.analysis import Analysis, analyze_repository
from tools.errors import EnvironmentFaultError, UsageError
from tools.pytest_run import TestRun

SUSPECTS = 8
"""Files a plan names at most."""

TRACEBACK_FILE = re.compile(r"^([\w./-]+\.py):\d+", re.M)


async def planner(state: State, step: Step) -> Update:
    """Reads `base` and `task`; writes `baseline`, `plan` and `base_snapshot`."""
    analysis = await _analyse(state, step)
    desktop = await step.desktop()
    run = await run_suite(state, step, desktop, "baseline")
    model = await step.model()
    _refuse_unusable(state, run, has_model=model is not None)
    await desktop.fs.write_file(BASELINE, baseline_bytes(run))
    baseline = await record_run(step, run, "baseline", 0, snapshot=state["desktop"]["snapshot"])
    step.emit("baseline", collected=baseline["collected"], failing=baseline["failing"])
    plan = _plan(state.get("task", ""), run, analysis)
    update: Update = {"baseline": baseline}
    if model is not None and not model_budget(state):
        question = HumanMessage(_question(plan, run, analysis))
        notes, usage = await ask(step, model, [PROMPTS["planner"], question])
        _refuse_uncounted(state, usage)
        plan["notes"], update["usage"] = str(notes.text)[:4000], usage
    step.emit("plan", goal=plan["goal"], suspects=plan["suspects"])
    # last, so that a failure before it leaves no snapshot that nothing names
    return {**update, "plan": plan, "base_snapshot": await step.snapshot(desktop)}


async def _analyse(state: State, step: Step) -> Analysis:
    """The analysis of the base, from the ledger when these very files were analysed before."""
    ledger, tree = step.services.ledger, state["base"]["tree"]
    known = await step.record(ledger.analysis, tree)
    if known:
        analysis = Analysis.model_validate_json(known)
    else:
        analysis = await analyze_repository(await step.desktop())
        await step.record(ledger.save_analysis, tree, analysis.model_dump_json())
    step.emit("analysis", summary=analysis.summary(), cached=bool(known))
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


def _plan(task: str, run: TestRun, analysis: Analysis) -> Plan:
    """Name the files that failing tests point at: in tracebacks first, then by import."""
    count = len(run.failing)
    suspects: dict[str, None] = {}
    for test_id in run.failing:
        for path in reversed(TRACEBACK_FILE.findall(run.message(test_id))):
            if path in analysis.modules and path not in analysis.tests:
                suspects.setdefault(path)
    for test_id in run.failing:
        module = analysis.modules.get(test_id.split("::", 1)[0])
        for name in module.imports if module else []:
            for path in analysis.modules:
                if path.removesuffix(".py").replace("/", ".").endswith(name.lstrip(".")):
                    suspects.setdefault(path)
    goal = task or f"make {count} failing test{'s' if count != 1 else ''} pass, break none"
    return Plan(
        goal=goal,
        targets=run.failing[:200],
        suspects=[path for path in suspects if path not in analysis.tests][:SUSPECTS],
        notes="",
    )


def _question(plan: Plan, run: TestRun, analysis: Analysis) -> str:
    failures = "\n\n".join(f"{test}\n{run.message(test)[-1500:]}" for test in plan["targets"][:10])
    return (
        f"Goal: {plan['goal']}\n\nFailing tests ({len(plan['targets'])}):\n{failures or 'none'}"
        f"\n\nRepository map:\n{analysis.map(first=tuple(plan['suspects']))}"
    )
