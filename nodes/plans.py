"""Plans: how a model is asked for one, what of its answer is kept, and how one is told in words."""

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, cast

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
)

from nodes.state import Plan, PlanStep
from tools.errors import ToolError
from tools.files import inside
from tools.layout import REPO
from tools.protection import covers

SUSPECTS = 8
"""Files a plan names as the first to look at, at most."""

STEPS, LISTED, FILES = 12, 10, 10
"""Steps of a plan; tests, risks and protected files; files of one step: at most."""

LINE, NOTES, PATH, GOAL = 300, 4000, 300, 20_000
"""Characters of one entry, of the notes, of a file's name, of the goal."""


def clipped(given: Any, limit: int) -> Any:
    """A text without what UTF-8 cannot hold, in one piece of bounded length."""
    if not isinstance(given, str):
        return given
    text = given.encode("utf-8", "replace").decode().strip()
    return text if len(text) <= limit else f"{text[: limit - 4]} ..."


def _several(given: Any, limit: int) -> Any:
    """Models write one thing, or nothing, where a list is asked for."""
    if given is None or given == "":
        return []
    return (given if isinstance(given, list) else [given])[:limit]


def _step(given: Any) -> Any:
    return {"what": given} if isinstance(given, str) else given


def _path(given: Any) -> Any:
    path = clipped(given, PATH)
    if not isinstance(path, str):
        return path
    return path.removeprefix(f"{REPO}/").removeprefix("./").rstrip("/")


Line = Annotated[str, BeforeValidator(lambda given: clipped(given, LINE))]
Path = Annotated[str, BeforeValidator(_path)]
Lines = Annotated[list[Line], BeforeValidator(lambda given: _several(given, LISTED))]
Paths = Annotated[list[Path], BeforeValidator(lambda given: _several(given, FILES))]


def _inside(path: str) -> str:
    try:
        return inside(path).removeprefix(f"{REPO}/")
    except ToolError as error:
        raise ValueError(str(error)) from error


Inside = Annotated[str, Field(max_length=PATH), AfterValidator(_inside)]
Words = Annotated[str, Field(min_length=1, max_length=LINE)]


class StepReply(BaseModel):
    """One thing to do."""

    what: Line
    files: Paths = []


class PlanReply(BaseModel):
    """A plan for the repair of a repository."""

    diagnosis: Annotated[str, BeforeValidator(lambda given: clipped(given, NOTES))] = Field(
        "", validation_alias=AliasChoices("diagnosis", "notes")
    )
    """What is probably wrong, and why."""
    steps: Annotated[
        list[Annotated[StepReply, BeforeValidator(_step)]],
        BeforeValidator(lambda given: _several(given, STEPS)),
    ]
    files: Paths = []
    tests: Lines = []
    risks: Lines = []
    protected: Paths = []
    impossible: Line = ""

    @property
    def gives_up(self) -> bool:
        """Whether it says that there is nothing to do; small models fill in every field."""
        return bool(self.impossible) and not self.steps


class EditedStep(BaseModel):
    """One thing to do."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    what: Words
    files: Annotated[list[Inside], Field(max_length=FILES)] = []


class EditedPlan(BaseModel):
    """What a person wants otherwise in a plan; what is not given stays as it is."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    goal: str | None = Field(None, min_length=1, max_length=GOAL)
    notes: str | None = Field(None, max_length=NOTES)
    steps: list[Annotated[EditedStep, BeforeValidator(_step)]] | None = Field(
        None, max_length=STEPS
    )
    suspects: list[Inside] | None = Field(None, max_length=SUSPECTS)
    tests: list[Words] | None = Field(None, max_length=LISTED)
    risks: list[Words] | None = Field(None, max_length=LISTED)
    protected: list[Inside] | None = Field(None, max_length=LISTED)

    def applied(self, plan: Plan) -> Plan:
        """The plan with what is given in place of what it said."""
        given = self.model_dump(exclude_none=True)
        return cast("Plan", {**plan, **given})


def planned(plan: Plan, reply: PlanReply, known: set[str]) -> Plan:
    """The plan with what a model says of it; `known` are those of its files that exist.

    Other files are dropped from it, and named in the notes. What a step is about is not protected.
    """
    steps = [
        PlanStep(what=step.what, files=[path for path in step.files if path in known])
        for step in reply.steps
    ]
    wanted = {path for step in steps for path in step["files"]}
    suspects = dict.fromkeys([*(p for p in reply.files if p in known), *plan["suspects"]])
    missing = sorted(named_files(reply) - known)
    note = f"\nNot in the repository: {', '.join(missing[:LISTED])}" if missing else ""
    return {
        **plan,
        "suspects": list(suspects)[:SUSPECTS],
        "notes": reply.diagnosis + note,
        "steps": steps,
        "tests": reply.tests,
        "risks": reply.risks,
        "protected": [
            pattern
            for pattern in reply.protected
            if pattern in known and not any(covers(pattern, path) for path in wanted)
        ],
    }


def named_files(reply: PlanReply) -> set[str]:
    """Every file that a model's plan names."""
    of_steps = (path for step in reply.steps for path in step.files)
    return {path for path in (*reply.files, *reply.protected, *of_steps) if path}


def with_goal(plan: Plan, goal: str) -> Plan:
    """The plan with another goal: what was to be done for the old one is dropped."""
    return {**plan, "goal": goal, "steps": [], "tests": [], "risks": []}


def in_lines(plan: Plan) -> Iterator[tuple[str, str]]:
    """A plan's parts beside its goal and notes, each line with its label."""
    for number, step in enumerate(plan.get("steps", []), 1):
        yield "step", f"{number}. {step['what']}{_in_brackets(step['files'])}"
    yield from (("test", test) for test in plan.get("tests", []))
    yield from (("risk", risk) for risk in plan.get("risks", []))
    yield from (("protected", path) for path in plan.get("protected", []))


def told(label: str, line: str) -> str:
    """One of those lines; steps are known by their numbers."""
    return line if label == "step" else f"{label}: {line}"


def _in_brackets(files: Iterable[str]) -> str:
    listed = ", ".join(files)
    return f" ({listed})" if listed else ""
