"""Reviewer: the gates' findings first, a model second; accepts, or sends the work back."""

from langchain_core.messages import HumanMessage

from nodes import events
from nodes.budgets import BudgetReachedError
from nodes.context import Step, Update
from nodes.models import PROMPTS, ask
from nodes.state import Finding, State

PATCH_SHOWN = 24_000
"""Characters of a patch that a model is shown."""


async def reviewer(state: State, step: Step) -> Update:
    """Reads `verdict` and the tester's `findings`; adds to these.

    A blocking finding makes the router send the work back.
    """
    verdict = state["verdict"]
    patch = await step.record(step.services.ledger.patch, verdict["patch"])
    if patch is None:
        finding = Finding(gate="patch", message="the ledger does not have the patch", blocking=True)
        return {"findings": [finding]}
    findings = list(state["findings"])
    model = await step.model()
    if model is not None and not any(finding["blocking"] for finding in findings):
        question = f"Goal: {state['plan']['goal']}\n\nPatch:\n{patch[:PATCH_SHOWN]}"
        messages = [PROMPTS["reviewer"], HumanMessage(question)]
        try:
            answer, _ = await ask(step, model, messages, attempt=state["attempt"])
            findings += _findings(str(answer.text))
        except BudgetReachedError as reached:
            message = f"not reviewed by the model: {reached}"
            findings.append(Finding(gate="budget", message=message, blocking=False))
    step.emit(events.Review(findings=[dict(finding) for finding in findings]))
    return {"findings": findings}


def _findings(answer: str) -> list[Finding]:
    """Read a review; an answer in no known form is kept as a remark and blocks nothing."""
    first, *rest = answer.strip().splitlines() or [""]
    remarks = [
        Finding(gate="model", message=line[:300], blocking=False) for line in rest[:5] if line
    ]
    if first.strip().upper().startswith("REJECT"):
        reason = first.partition(":")[2].strip() or "rejected without a reason"
        return [Finding(gate="model", message=reason[:300], blocking=True), *remarks]
    return remarks
