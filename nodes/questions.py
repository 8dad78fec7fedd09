"""Questions to people: what is asked, how it may be answered, what an answer changes.

Each is a node of its own that touches no desktop, because a node that waits for an answer runs
again from its first line when it comes. An answer that does not fit its model raises pydantic's
error and changes nothing: the question stays.
"""

from typing import Any, ClassVar, Literal, TypeVar

from langgraph.errors import GraphInterrupt
from langgraph.types import interrupt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from nodes import events
from nodes.budgets import Limit, limits, reached
from nodes.context import Step, Update
from nodes.plans import EditedPlan, with_goal
from nodes.reviews import overruled
from nodes.state import State
from tools.settings import NO_MODEL

TEXT_LIMIT = 20_000
"""Characters of a goal or a hint."""


TOKENS_LIMIT, SECONDS_LIMIT, USD_LIMIT = 10**12, 10**9, 10**9
"""More of either is as good as no bound; state holds 64 bits."""


class Answer(BaseModel):
    """An answer as JSON; a word alone stands for `{"answer": word}`."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    EXAMPLES: ClassVar[dict[str, str]]
    """Answers as a person would write them, and what each does."""

    answer: str

    @model_validator(mode="before")
    @classmethod
    def _from_words(cls, given: Any) -> Any:
        return cls.read_words(given.strip()) if isinstance(given, str) else given

    @classmethod
    def read_words(cls, words: str) -> dict[str, Any]:
        """What an answer in plain words means."""
        return {"answer": words.lower()}


class PlanAnswer(Answer):
    """Whether work starts; any words but approve and reject are another goal."""

    EXAMPLES = {
        "approve": "start work",
        "reject": "end the run",
        "another goal in words": "work on that instead",
        '{"answer": "edit", "plan": {"steps": ["what to do"], "protected": ["a/file.py"]}}':
            "work on the plan with these parts replaced",
    }  # fmt: skip

    answer: Literal["approve", "reject", "change", "edit"]
    goal: str = Field("", max_length=TEXT_LIMIT, description="the new goal, with `change`")
    plan: EditedPlan | None = Field(None, description="the parts to replace, with `edit`")

    @classmethod
    def read_words(cls, words: str) -> dict[str, Any]:
        """Approve, reject, or a goal."""
        known = words.lower() in ("approve", "reject")
        return {"answer": words.lower()} if known else {"answer": "change", "goal": words}

    @model_validator(mode="after")
    def _goal_given(self) -> "PlanAnswer":
        if self.answer == "change" and not self.goal:
            raise ValueError("a change of plan needs a goal in words")
        if (self.answer == "edit") != bool(self.plan and self.plan.model_fields_set):
            raise ValueError("parts of the plan go with the answer `edit`, and it needs some")
        return self


class ImpossibleAnswer(Answer):
    """What to do with a task that its coder gave up."""

    EXAMPLES = {
        "stop": "end the run with the best patch so far",
        '{"answer": "retry", "hint": "how it could be done"}': "try again with this hint",
        '{"answer": "retry", "attempts": 3}': "try again, up to 3 more times",
    }

    answer: Literal["stop", "retry"]
    hint: str = Field("", max_length=TEXT_LIMIT, description="goes to the coder as a message")
    attempts: int = Field(1, ge=1, le=20, description="how many more there may be")

    @classmethod
    def read_words(cls, words: str) -> dict[str, Any]:
        """A word, or a hint of several words."""
        return {"answer": "retry", "hint": words} if " " in words else {"answer": words.lower()}


class BudgetAnswer(Answer):
    """Whether a run whose budget is used up gets more of it."""

    EXAMPLES = {
        "stop": "end the run with the best patch so far",
        "extend": "as much again of the budget that is used up",
        '{"answer": "extend", "attempts": 2, "tokens": 50000, "seconds": 600}': "so much more",
    }

    answer: Literal["stop", "extend"]
    attempts: int | None = Field(None, ge=1, le=20)
    tokens: int | None = Field(None, ge=1, le=TOKENS_LIMIT)
    seconds: float | None = Field(None, gt=0, le=SECONDS_LIMIT)
    usd: float | None = Field(None, gt=0, le=USD_LIMIT)
    hint: str = Field("", max_length=TEXT_LIMIT, description="goes to the coder as a message")


class ReviewAnswer(Answer):
    """What to do with a patch that passes, and to which only the model objects."""

    EXAMPLES = {
        "deliver": "the patch is good: deliver it, with the objections in the report",
        '{"answer": "retry", "hint": "what to do about them"}': "one more attempt",
        "reject": "end the run without it",
    }

    answer: Literal["deliver", "retry", "reject"]
    hint: str = Field("", max_length=TEXT_LIMIT, description="goes to the coder as a message")
    attempts: int = Field(1, ge=1, le=20, description="how many more there may be, with `retry`")

    @classmethod
    def read_words(cls, words: str) -> dict[str, Any]:
        """A word, or a hint of several words."""
        return {"answer": "retry", "hint": words} if " " in words else {"answer": words.lower()}


ANSWERS: dict[str, type[Answer]] = {
    "plan": PlanAnswer,
    "impossible": ImpossibleAnswer,
    "budget": BudgetAnswer,
    "review": ReviewAnswer,
}
"""The answers to each kind of question."""

A = TypeVar("A", bound=Answer)


async def _ask(step: Step, kind: str, question: str, schema: type[A], **facts: Any) -> A:
    """Interrupt the run; returns when it is resumed with an answer that fits."""
    value = {"kind": kind, "question": question, "answers": schema.EXAMPLES, **facts}
    save = step.services.ledger.save_thread
    try:
        given = interrupt(value, response_schema=schema)
    except GraphInterrupt:
        await step.record(save, step.thread, status="waiting", detail=kind)
        raise
    await step.record(save, step.thread, status="running", detail="")
    step.emit(events.Answered(answer=given.answer))
    return given


async def approval(state: State, step: Step) -> Update:
    """With `approve` set: may work on this plan start? Else nothing."""
    if not state.get("approve"):
        return {}
    plan = state["plan"]
    given = await _ask(step, "plan", "approve this plan?", PlanAnswer, plan=plan)
    match given.answer:
        case "approve":
            return {}
        case "reject":
            return {"gave_up": "the plan was rejected"}
        case _:
            changed = given.plan.applied(plan) if given.plan else with_goal(plan, given.goal)
            step.emit(events.Planned.model_validate(changed))
            is_new_goal = changed["goal"] != plan["goal"]
            return {"plan": changed} | ({"task": changed["goal"]} if is_new_goal else {})


async def impossible(state: State, step: Step) -> Update:
    """With `ask` set: what is to be done with a task that the coder gave up? Else nothing."""
    if not state.get("ask"):
        return {}
    given = await _ask(
        step,
        "impossible",
        "the task looks impossible: stop, or try again?",
        ImpossibleAnswer,
        reason=state["gave_up"],
        attempt=state["attempt"],
        reads_hints=step.model_name != NO_MODEL,
    )
    if given.answer == "stop":
        return {}
    attempts = max(state["max_attempts"], state["attempt"] + given.attempts)
    return {"gave_up": "", "handed_in": True, "max_attempts": attempts, "hint": given.hint}


async def disputed(state: State, step: Step) -> Update:
    """With `ask` set: is a patch delivered to which only the model objects? Else it is."""
    if state.get("ask"):
        blocking = [finding for finding in state["findings"] if finding["blocking"]]
        given = await _ask(
            step,
            "review",
            "the patch passes, but the reviewer objects: deliver it?",
            ReviewAnswer,
            objections=[finding["message"] for finding in blocking],
        )
        if given.answer == "reject":
            return {"gave_up": "the patch was rejected", "contested": None}
        if given.answer == "retry":
            attempts = max(state["max_attempts"], state["attempt"] + given.attempts)
            return {"max_attempts": attempts, "hint": given.hint}
    return {"findings": overruled(state["findings"])}


async def budget(state: State, step: Step) -> Update:
    """With `ask` set: is there more of the budget that is used up? Else the run gives up."""
    limit = reached(state)
    if limit is None:
        return {"short": None}
    short = state.get("short")
    reason = f"{limit}{short['why'] if short else ''}"
    if state.get("ask"):
        question = f"{reason}: stop, or go on?"
        given = await _ask(
            step, "budget", question, BudgetAnswer, budget=limit.kind, verdict=_verdict(state)
        )
        if given.answer == "extend":
            return {**_extended(state, limit, given), "hint": given.hint, "short": None}
    return {"gave_up": reason, "spent": limit.kind, "short": None}


def _verdict(state: State) -> list[str]:
    return state["verdict"]["reasons"] if "verdict" in state else []


def _extended(state: State, reached: Limit, given: BudgetAnswer) -> Update:
    """The new bounds; each is counted from what is used, so that any extension lets work go on."""
    update: Update = {}
    attempts = Limit("attempts", state["attempt"], state["max_attempts"])
    for limit in (attempts, *limits(state)):
        more = getattr(given, limit.kind)
        is_meant = (limit.kind, limit.role) == (reached.kind, reached.role)
        if not (is_meant or (more and not limit.role)):
            continue
        bound = max(limit.bound, limit.used) + (more or limit.bound)
        whole = bound if limit.kind in {"seconds", "usd"} else int(bound)
        if limit.role:
            given_bounds = state["role_bounds"]
            own = {**given_bounds[limit.role], limit.kind: whole}
            update["role_bounds"] = {**given_bounds, limit.role: own}
        else:
            update[f"max_{limit.kind}"] = whole
    return update
