"""One fix as the ranking sees it."""

from dataclasses import dataclass

from tools.analysis.signals import Scores


@dataclass(frozen=True)
class Case:
    """One fix with one kind of evidence: scores of every file that may be the one."""

    half: str
    large: bool
    gold: list[int]
    """The files that the fix changed."""
    plain: Scores
    fused: Scores
    signals: dict[str, Scores]
    aside: Scores
    """1 for files of examples and the like."""
