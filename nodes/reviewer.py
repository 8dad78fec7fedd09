"""Reviewer: the gates' findings first, a model second; accepts, or sends the work back."""

from langchain_core.language_models import BaseChatModel

from nodes import events
from nodes.context import Step, Update
from nodes.model.client import PROMPTS
from nodes.model.structured import ask_for
from nodes.reviews import ReviewReply, located, numbered, only_model_objects, review_in_words
from nodes.state import Contested, Finding, State


async def reviewer(state: State, step: Step) -> Update:
    """Reads `verdict` and the tester's `findings`; adds to these.

    A blocking finding makes the router send the work back. What only the model objects to is kept
    in `contested`: it may be delivered all the same.
    """
    verdict = state["verdict"]
    patch = await step.record(step.services.ledger.patch, verdict["patch"])
    if patch is None:
        finding = Finding(gate="patch", message="the ledger does not have the patch", blocking=True)
        return {"findings": [finding]}
    findings = list(state["findings"])
    model = await step.model()
    if model is not None and not any(finding["blocking"] for finding in findings):
        findings += await _review(state, step, model, patch)
    update: Update = {"findings": findings}
    if only_model_objects(findings):
        update["contested"] = Contested(verdict=verdict, findings=findings)
        update["rejections"] = state.get("rejections", 0) + 1
    step.emit(events.Review(findings=[dict(finding) for finding in findings]))
    return update


async def _review(state: State, step: Step, model: BaseChatModel, patch: str) -> list[Finding]:
    """The model's findings; one that blocks nothing where its answer is no review."""
    question = f"Goal: {state['plan']['goal']}\n\nPatch, with line numbers:\n{numbered(patch)}"
    prompt = PROMPTS["reviewer"]
    reply = await ask_for(step, state, model, prompt, question, ReviewReply, words=review_in_words)
    if reply.value is not None:
        return located(reply.value, patch)
    if not reply.usage["calls"]:
        message = f"not reviewed by the model: {reply.problem}"
        return [Finding(gate="budget", message=message, blocking=False)]
    message = f"the model's review could not be read: {reply.problem}"
    return [Finding(gate="review", message=message, blocking=False)]
