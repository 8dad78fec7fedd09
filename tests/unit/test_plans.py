"""Plans: what is kept of a model's answer, what a person may write, how they are told."""

from typing import Any

import pytest
from pydantic import ValidationError

from nodes.plans import LINE, STEPS, EditedPlan, PlanReply, in_lines, planned, with_goal
from nodes.state import Plan
from tools.patch import ChangedFile
from tools.protection import violations

PLAN = Plan(goal="make it work", targets=["test_a.py::test"], suspects=["a.py"], notes="")


def reply(**given: Any) -> PlanReply:
    return PlanReply.model_validate({"steps": [], **given})


def test_planned_unknown_files_are_dropped_and_named() -> None:
    given = reply(
        diagnosis="a is wrong",
        steps=[{"what": "change a", "files": ["./a.py", "gone.py"]}],
        files=["b.py", "nowhere/c.py"],
        protected=["lib/", "x.py"],
    )
    plan = planned(PLAN, given, {"a.py", "b.py", "lib"})
    assert plan["steps"] == [{"what": "change a", "files": ["a.py"]}]
    assert plan["suspects"] == ["b.py", "a.py"]
    assert plan["protected"] == ["lib"]
    assert plan["notes"] == "a is wrong\nNot in the repository: gone.py, nowhere/c.py, x.py"
    assert plan["targets"] == PLAN["targets"]


def test_planned_what_a_step_is_about_is_not_protected() -> None:
    steps = [{"what": "change", "files": ["lib/a.py"]}]
    plan = planned(PLAN, reply(steps=steps, protected=["lib", "b.py"]), {"lib", "lib/a.py", "b.py"})
    assert plan["protected"] == ["b.py"]


def test_plan_reply_lenient_forms_are_read_and_bounded() -> None:
    given = reply(
        steps=["one", {"what": "x" * 1000, "files": "a.py"}] + ["more"] * 50,
        tests="one behaviour",
        risks=None,
        unknown={"deep": 1},
        diagnosis="lone \ud800 surrogate",
    )
    assert given.steps[0].what == "one"
    assert len(given.steps[1].what) == LINE
    assert given.steps[1].files == ["a.py"]
    assert len(given.steps) == STEPS
    assert (given.tests, given.risks) == (["one behaviour"], [])
    assert given.diagnosis == "lone ? surrogate"


def test_plan_reply_gives_up_only_where_it_has_no_steps() -> None:
    assert reply(impossible="the tests contradict it").gives_up
    assert not reply(impossible="n/a", steps=["do it"]).gives_up
    assert not reply().gives_up


@pytest.mark.parametrize(
    "given",
    [{}, {"steps": [3]}, {"steps": [{"files": []}]}, {"steps": [], "files": [1]}, {"steps": {}}],
)
def test_plan_reply_other_forms_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PlanReply.model_validate(given)


@pytest.mark.parametrize(
    "given",
    [
        {"targets": []}, {"protected": ["/etc/passwd"]}, {"suspects": ["../x"]}, {"goal": " "},
        {"steps": ["x" * (LINE + 1)]}, {"steps": ["x"] * (STEPS + 1)}, {"risks": [""]},
        {"steps": [{"what": "x", "files": [".git/config"]}]},
    ],
)  # fmt: skip
def test_edited_plan_out_of_bounds_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        EditedPlan.model_validate(given)


def test_edited_plan_given_parts_replace_the_others_stay() -> None:
    before: Plan = {**PLAN, "steps": [{"what": "old", "files": []}], "risks": ["some"]}
    given = EditedPlan.model_validate({"steps": ["new"], "protected": ["lib/"]})
    after = given.applied(before)
    assert after == {**before, "steps": [{"what": "new", "files": []}], "protected": ["lib"]}
    assert list(in_lines(after)) == [("step", "1. new"), ("risk", "some"), ("protected", "lib")]
    assert with_goal(after, "other")["steps"] == []


@pytest.mark.parametrize(
    ("pattern", "hit"),
    [("a.py", True), ("lib", False), ("pkg", True), ("pkg/*.py", True), ("*.md", False)],
)
def test_violations_plan_protects_files_folders_and_patterns(pattern: str, hit: bool) -> None:
    files = [ChangedFile(path="a.py", status="M"), ChangedFile(path="pkg/b.py", status="A")]
    assert bool(violations(files, planned=[pattern])) == hit
