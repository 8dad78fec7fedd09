"""Reviews: what is read of a model's answer, what of it counts, and when it is overruled."""

from typing import Any

import pytest
from pydantic import ValidationError

from nodes.reviews import (
    ReviewReply,
    located,
    numbered,
    only_model_objects,
    overruled,
    review_in_words,
    settled,
)
from nodes.state import Contested, Finding, State, Verdict

PATCH = """\
diff --git a/a.py b/a.py
index 1..2 100644
--- a/a.py
+++ b/a.py
@@ -9,4 +9,3 @@ def f():
 ten
-eleven
+ELEVEN
 twelve
--- looks like a header
@@ -30 +29,2 @@
 thirty
+more
"""


def found(**given: Any) -> list[Finding]:
    return located(ReviewReply.model_validate({"findings": [given]}), PATCH)


def test_numbered_lines_have_the_numbers_of_the_patched_file() -> None:
    assert numbered(PATCH).splitlines() == [
        "", "a.py", "    9  ten", "      -eleven", "   10 +ELEVEN", "   11  twelve",
        "      --- looks like a header", "", "a.py", "   29  thirty", "   30 +more",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("file", "line", "blocking"),
    [
        ("a.py", 10, True), ("b/a.py", "10-12", True), ("a.py", 0, True), ("", 0, True),
        ("a.py", 20, False), ("b.py", 10, False), ("a.py", "30", True), ("./a.py", None, True),
    ],
)  # fmt: skip
def test_located_finding_off_the_patch_is_a_note(file: str, line: Any, blocking: bool) -> None:
    [finding] = found(file=file, line=line, severity="blocker", reason="wrong")
    assert finding["blocking"] == blocking
    assert finding["severity"] == ("blocker" if blocking else "note")
    assert ("no line of the patch" in finding["message"]) != blocking


@pytest.mark.parametrize(
    ("said", "severity"),
    [("Critical", "blocker"), ("BLOCKING", "blocker"), ("medium", "major"), ("nit", "minor"),
     (None, "note"), ("catastrophic", "note"), (7, "note")],
)  # fmt: skip
def test_located_severity_is_read_leniently_and_only_blockers_block(
    said: Any, severity: str
) -> None:
    [finding] = found(file="a.py", line=10, severity=said, reason="why")
    assert finding["severity"] == severity
    assert finding["blocking"] == (severity == "blocker")


@pytest.mark.parametrize("given", [{}, {"findings": "none"}, {"findings": [{"file": "a.py"}]}])
def test_review_reply_that_is_none_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ReviewReply.model_validate(given)


def test_review_in_words_is_understood() -> None:
    reply = review_in_words("REJECT: it guesses\nline one\n\nline two")
    assert reply is not None
    assert [(f.severity, f.reason) for f in reply.findings] == [
        ("blocker", "it guesses"), ("note", "line one"), ("note", "line two"),
    ]  # fmt: skip
    assert review_in_words("**ACCEPT**") == ReviewReply(findings=[])
    assert review_in_words("I would accept it") is None
    assert review_in_words("") is None


def verdict(passed: bool, patch: str) -> Verdict:
    return Verdict(
        passed=passed, reasons=[], fixed=[], still_failing=[], regressions=[], patch=patch,
        files=[], run="",
    )  # fmt: skip


def test_settled_contested_patch_is_delivered_only_where_no_other_is_accepted() -> None:
    objections = [Finding(gate="model", message="x", blocking=True)]
    contested = Contested(verdict=verdict(True, "old"), findings=objections)
    spoiled: State = {"contested": contested, "verdict": verdict(False, "new"), "findings": []}
    assert settled(spoiled)["verdict"]["patch"] == "old"
    assert settled(spoiled)["findings"] == overruled(objections)
    assert not only_model_objects(settled(spoiled)["findings"])
    accepted: State = {**spoiled, "verdict": verdict(True, "new")}
    assert settled(accepted) == accepted
    dropped: State = {**spoiled, "contested": None}
    assert settled(dropped) == dropped
