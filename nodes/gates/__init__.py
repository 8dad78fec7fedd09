"""Deterministic gates: small pure functions from a patch to objections, one reason each."""

from collections.abc import Callable, Iterator

from nodes.gates.comparisons import equality_overrides
from nodes.gates.hard_coded import hard_coded_answers, possible_answers
from nodes.gates.lines import (
    changed_requirements,
    early_exit,
    hidden_characters,
    size,
    test_awareness,
    unreadable_files,
)
from nodes.gates.patch_text import Review, make_review
from nodes.gates.tampering import assembled_names, hidden_code, patched_modules, reading_tests
from nodes.state import Finding

Gate = Callable[[Review], Iterator[str]]

GATES: tuple[Gate, ...] = (
    size,
    unreadable_files,
    test_awareness,
    early_exit,
    hidden_characters,
    equality_overrides,
    patched_modules,
    assembled_names,
    reading_tests,
    hidden_code,
    hard_coded_answers,
)
"""A finding of one of these sends the work back."""

DOUBTS: tuple[Gate, ...] = (possible_answers, changed_requirements)
"""What people are told, and blocks nothing."""

FINDINGS = 20
"""Findings of one gate that are reported."""


def run_gates(
    patch: str, targets: list[str], files: dict[str, bytes] | None = None
) -> list[Finding]:
    """Every gate's objections to a patch; `targets` are the ids of the tests that are to turn.

    Without `files` (the patched Python files and the targets' test files, by path) only what
    needs no parsing is judged.
    """
    return objections(make_review(patch, targets, files))


def objections(review: Review) -> list[Finding]:
    """Every gate's objections."""
    return [
        Finding(gate=gate.__name__, message=message, blocking=gate in GATES)
        for gate in (*GATES, *DOUBTS)
        for message, _ in zip(dict.fromkeys(gate(review)), range(FINDINGS), strict=False)
    ]
