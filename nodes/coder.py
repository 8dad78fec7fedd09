"""Coder: decides, never acts. With a model a tool-calling loop, without one the repair engine.

Either way the decision is one checkpointed message with tool calls; `act` carries it out in the
next super-step (law 2).
"""

import hashlib
import json
from contextlib import suppress
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    RemoveMessage,
    ToolCall,
)
from pydantic import ValidationError

from nodes import events
from nodes.budgets import BudgetReachedError, seconds_left
from nodes.candidates import APPROACHES
from nodes.context import Step, Update
from nodes.model.answers import CUT, EMPTY, IDLE, refusal, trouble
from nodes.model.client import PROMPTS
from nodes.model.toolcalls import next_decision
from nodes.plans import in_lines, told
from nodes.state import Plan, Short, State
from nodes.testing import engine_arguments
from tools.analysis import MAP_TOKENS, Evidence, Touched, failing_test, known_analysis
from tools.engine import Fix, RepairResult, repair
from tools.journal import Journal
from tools.protection import PROTECTED_GLOBS

STEPS = 60
"""Decisions of a model within one attempt."""


async def coder(state: State, step: Step) -> Update:
    """Reads plan, verdict and findings; writes the next decision to `messages`.

    Coming here with work handed in, or for the first time, opens a new attempt.
    """
    if state["handed_in"] or not state["attempt"]:
        state = {**state, "attempt": state["attempt"] + 1, "steps": 0}
    model = await step.model()
    try:
        update = await (_search(state, step) if model is None else _think(state, step, model))
    except BudgetReachedError as reached:  # no step is taken: whether there is more is asked first
        limit = reached.limit
        return {"short": Short(kind=limit.kind, role=limit.role, why=reached.why)}
    return {**update, "attempt": state["attempt"], "steps": state["steps"] + 1, "hint": ""}


async def _think(state: State, step: Step, model: BaseChatModel) -> Update:
    """Ask the model for the next tool calls; an answer without any means: done."""
    opening = [] if state["steps"] else await _opening(state, step)
    if state.get("hint"):
        opening.append(HumanMessage(f"A person says: {state['hint']}"))
    conversation: list[BaseMessage] = [*state.get("messages", []), *opening]
    answer = await next_decision(step, model, PROMPTS["coder"], conversation, state["attempt"])
    for call in answer.tool_calls:
        step.emit(events.Call(id=call["id"] or "", name=call["name"], args=call["args"]))
    update: Update = {"messages": [*opening, answer]}
    if said := refusal(answer):
        return {**update, "gave_up": f"the model refuses: {said}"[:1000], "handed_in": True}
    last = state["steps"] + 1 >= STEPS
    useless = trouble(answer, is_idle=state.get("changed_count") == 0)
    if useless and not last and conversation[-1].text not in (CUT, EMPTY, IDLE):
        return {**update, "messages": [*update["messages"], HumanMessage(useless)]}
    calls = {call["name"]: call["args"] for call in answer.tool_calls}
    if calls.get("hand_in", {}).get("impossible") is True:
        update["gave_up"] = f"the coder says: {calls['hand_in'].get('summary', '')}"[:1000]
    done = not (answer.tool_calls or answer.invalid_tool_calls) or "hand_in" in calls
    return {**update, "handed_in": done or last}


async def _opening(state: State, step: Step) -> list[BaseMessage]:
    """The first message of an attempt: the whole task, or what was wrong with the last attempt."""
    if state["attempt"] > 1 and state.get("messages"):
        return [HumanMessage(_objections(state))]
    plan = state["plan"]
    targets = "\n".join(plan["targets"][:50]) or "none"
    opening: list[BaseMessage] = [
        *(RemoveMessage(id=str(message.id)) for message in state.get("messages", [])),
        HumanMessage(
            f"Goal: {plan['goal']}\n\nPlanner's notes:\n{plan['notes'] or 'none'}\n\n"
            f"{_steps(plan)}Failing tests:\n{targets}\n"
            f"The tests are run by: {state.get('tests') or 'pytest'}\n\n"
            f"{_preferred(state)}Repository map, likeliest files first:\n"
            f"{await step.record(_map, state, step)}"
        ),
    ]
    if state["attempt"] > 1:  # another candidate's work, which this conversation has not seen
        opening.append(HumanMessage(f"Your desktop holds a patch already. {_objections(state)}"))
    return opening


def _preferred(state: State) -> str:
    approach = APPROACHES[max(0, state.get("candidate", 0) - 1)]
    return f"Of several ways, prefer this: {approach}.\n\n" if approach else ""


def _steps(plan: Plan) -> str:
    lines = [told(*part) for part in in_lines(plan)]
    return "Plan:\n{}\n\n".format("\n".join(lines)) if lines else ""


def _map(state: State, step: Step) -> str:
    """The map of the base for this task, with the plan's suspects first."""
    analysis = known_analysis(step.services.ledger.analyses, state["base"]["tree"])
    if analysis is None:
        return "none"
    plan = state["plan"]
    tests = [failing_test(test) for test in plan["targets"][:20]]
    executed = [Touched(**file) for file in state.get("executed", [])]
    ranking = analysis.rank(Evidence(state.get("task", ""), tests, executed))
    return analysis.map(ranking, tokens=MAP_TOKENS, first=plan["suspects"])


def _objections(state: State) -> str:
    verdict, findings = state.get("verdict"), state.get("findings", [])
    if not verdict:
        return "Try again: the task may be possible."
    lines = ["Your work was not accepted.", *verdict["reasons"]]
    lines += [f"still failing: {test}" for test in verdict["still_failing"][:20]]
    lines += [f"broken by the patch: {test}" for test in verdict["regressions"][:20]]
    lines += [
        f"{finding['gate']}: {finding['message']}" for finding in findings if finding["blocking"]
    ]
    return "\n".join(lines)


async def _search(state: State, step: Step) -> Update:
    """Let the repair engine search; its edits become the calls of one decision."""
    budget_s = max(1.0, min(step.settings.repair_budget_s, seconds_left(state)))
    bounds: dict[str, Any] = {
        "budget_s": budget_s,
        "max_candidates": step.settings.repair_candidates,
        "protect": [*PROTECTED_GLOBS, *_patterns(state["plan"])],
    }

    async def search(journal: Journal) -> RepairResult:
        arguments = await engine_arguments(state, journal.desktop)
        return await repair(journal, arguments, **bounds, on_event=_EngineEvents(step))

    result = await step.once([bounds, state["attempt"]], search)
    step.emit(events.Searched(status=result.status, tried=result.tried, seconds=result.seconds))
    decision = _decision(result, state["base"]["tree"], state["attempt"])
    update: Update = {
        "messages": [decision],
        "handed_in": True,
        "doubts": [
            *state.get("doubts", []),
            *(_doubt(fix) for fix in result.fixes if fix.ambiguous),
        ],
    }
    cut_short = budget_s < step.settings.repair_budget_s and result.seconds >= 0.9 * budget_s
    if not decision.tool_calls and not cut_short:
        reason = result.message or f"no patch found among {result.tried} candidates tried"
        update["gave_up"] = f"offline engine: {reason}"
    return update


def _patterns(plan: Plan) -> list[str]:
    """What the plan protects as patterns: a name stands for a file and for all in a folder."""
    return [pattern for name in plan.get("protected", []) for pattern in (name, f"{name}/*")]


def _decision(result: RepairResult, tree: str, attempt: int) -> AIMessage:
    """The engine's edits as a message like a model's; ids are derived, so a re-run has the same."""
    seed = hashlib.sha256(f"{tree}/{attempt}".encode()).hexdigest()[:12]
    edits = [edit for fix in result.fixes for edit in fix.edits]
    calls = [
        ToolCall(name="replace", args=edit.model_dump(), id=f"engine-{seed}-{number}")
        for number, edit in enumerate(edits)
    ]
    lines = [
        f"{fix.path}:{fix.line} {fix.operator} ({len(fix.tests)} tests"
        + (", ambiguous: other edits pass too)" if fix.ambiguous else ")")
        for fix in result.fixes
    ]
    text = f"repair engine, {result.tried} candidates tried\n" + "\n".join(lines)
    return AIMessage(text.strip(), tool_calls=calls, id=f"engine-{seed}", name="engine")


def _doubt(fix: Fix) -> str:
    return (
        f"{fix.path}:{fix.line} {fix.alternatives} other edits pass the same tests; "
        "they do not tell which is meant"
    )


class _EngineEvents:
    """Joins the engine's output to lines and passes each JSON object on as an event."""

    def __init__(self, step: Step) -> None:
        self._step, self._rest = step, ""

    def __call__(self, piece: str) -> None:
        *lines, rest = (self._rest + piece).split("\n")
        self._rest = rest[-65536:]
        for line in lines:
            try:
                event = json.loads(line)
            except ValueError:
                continue
            with suppress(ValidationError):  # it comes from a desktop
                match event:
                    case {"event": "search", "tried": tried}:
                        self._step.emit(events.Search(tried=tried))
                    case {"event": "fix", "operator": operator, "path": path}:
                        self._step.emit(events.Repair(operator=operator, path=path))
