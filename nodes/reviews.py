"""Reviews: how a model is asked for one, what of its answer counts, and when it is overruled."""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator

from nodes.gates.patch_text import lines_of
from nodes.plans import Line
from nodes.state import Finding, State

PATCH_SHOWN = 24_000
"""Characters of a patch that a model is shown."""

FINDINGS = 10
"""Findings of one review, at most."""

SEND_BACKS = 2
"""Times that the model's word alone sends back a patch that passes."""

MODEL = "model"
"""The gate of findings that are a model's."""

SEVERITIES = {
    "blocker": "blocker blocking critical reject fatal error high",
    "major": "major medium warning moderate",
    "minor": "minor low nit style",
}
"""What models say for each severity; anything else is a note."""


def _severity(given: Any) -> str:
    word = str(given or "").strip().lower()
    return next((name for name, words in SEVERITIES.items() if word in words.split()), "note")


def _number(given: Any) -> int:
    """The first line of `12`, `"12"`, `"12-15"`; 0 where there is none."""
    found = re.search(r"\d{1,7}", str(given))
    return int(found.group()) if found else 0


def _path(given: Any) -> str:
    return re.sub(r"^(a|b|\.)/", "", str(given or "").strip())[:300]


class FindingReply(BaseModel):
    """One objection to the patch."""

    file: Annotated[str, BeforeValidator(_path)] = ""
    line: Annotated[int, BeforeValidator(_number)] = 0
    severity: Annotated[
        Literal["blocker", "major", "minor", "note"], BeforeValidator(_severity)
    ] = "note"
    reason: Line


class ReviewReply(BaseModel):
    """A review of a patch."""

    findings: Annotated[
        list[FindingReply],
        BeforeValidator(lambda given: given[:FINDINGS] if isinstance(given, list) else given),
    ]


def review_in_words(text: str) -> ReviewReply | None:
    """A review that begins with ACCEPT, or with REJECT and the reason; None for anything else."""
    first, *rest = text.strip().splitlines() or [""]
    word, _, reason = first.strip().partition(":")
    if word.strip(" *`.").upper() not in {"ACCEPT", "REJECT"}:
        return None
    findings = [FindingReply(reason=line) for line in rest if line.strip()]
    if word.strip(" *`.").upper() == "REJECT":
        reason = reason.strip() or "rejected without a reason"
        findings.insert(0, FindingReply(severity="blocker", reason=reason))
    return ReviewReply(findings=findings[:FINDINGS])


def numbered(patch: str) -> str:
    """The patch as it is shown: each line with the number by which a finding can name it."""
    shown = []
    for path, sign, number, text in lines_of(patch):
        if sign == "@":
            shown.append(f"\n{path}")
        else:
            shown.append(f"{number if sign != '-' else '':>5} {sign}{text}")
    return "\n".join(shown)[:PATCH_SHOWN]


def located(reply: ReviewReply, patch: str) -> list[Finding]:
    """The findings; what is said of no line of the patch is a note, whatever it was called.

    A finding without a file is about the patch as a whole.
    """
    lines: dict[str, set[int]] = {}
    for path, _, number, _ in lines_of(patch):
        lines.setdefault(path, {0}).add(number)
    return [_finding(found, lines) for found in reply.findings]


def _finding(found: FindingReply, lines: dict[str, set[int]]) -> Finding:
    known = not found.file or found.line in lines.get(found.file, ())
    severity = found.severity if known else "note"
    where = f"{found.file}:{found.line} " if found.file else ""
    astray = "" if known else " (no line of the patch)"
    return Finding(
        gate=MODEL,
        message=f"{where}{severity} - {found.reason}{astray}",
        blocking=severity == "blocker",
        file=found.file,
        line=found.line,
        severity=severity,
    )


def only_model_objects(findings: Sequence[Finding]) -> bool:
    """Whether the work is blocked, and by the model's review alone."""
    blocking = [finding for finding in findings if finding["blocking"]]
    return bool(blocking) and all(finding["gate"] == MODEL for finding in blocking)


def overruled(findings: Sequence[Finding]) -> list[Finding]:
    """The findings, none blocking, and that the patch is delivered over some of them."""
    count = sum(finding["blocking"] for finding in findings)
    message = f"delivered over the model's objections ({count}): the tests and the gates hold"
    shown = [Finding(**{**finding, "blocking": False}) for finding in findings]
    return [Finding(gate="review", message=message, blocking=False), *shown]


def settled(state: State) -> State:
    """The state as it is delivered.

    Where no patch was accepted, that is the last one to which only the model objects, if any.
    """
    contested, verdict = state.get("contested"), state.get("verdict")
    blocked = any(finding["blocking"] for finding in state.get("findings", []))
    if not contested or (verdict and verdict["passed"] and not blocked):
        return state
    findings = overruled(contested["findings"])
    return {**state, "verdict": contested["verdict"], "findings": findings}
