"""Ranks files by fusing what speaks for each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tools.analysis.corpus import ASIDE, TEST, Corpus
from tools.analysis.evidence import TEXT_LIMIT, Commit, Evidence
from tools.analysis.signals import Scores, signals
from tools.analysis.words import query_terms

WEIGHTS: Mapping[str, float] = {
    "contents": 2.05, "names": 1.14, "places": 1.08, "walk": 1.4, "recent": 0.13, "alike": 1.93,
    "trace": 2.5, "test_contents": 1.35, "test_names": 1.27, "test_places": 1.87,
    "test_together": 2.33, "executed": 2.0,
}  # fmt: skip
"""Fitted by `benchmarks.localisation` to one half of its fixes.

`trace` and `executed` by hand, to those of them whose tests were run.
"""

REASONS = {
    "contents": "words of the task", "names": "defines what the task names",
    "places": "path like the task", "walk": "connected to what matters",
    "recent": "changed lately", "alike": "changed for similar tasks", "trace": "in a stack trace",
    "test_contents": "words of failing tests", "test_names": "defines what failing tests name",
    "test_places": "path like failing tests", "test_together": "changed with failing tests",
    "executed": "failing tests call what others do not",
}  # fmt: skip

TEST_FACTOR = 0.4
"""What a test keeps of its score in the order of all files."""

ASIDE_COST = 1.2
"""What a file of examples, benchmarks or vendored code loses."""


@dataclass(frozen=True)
class Ranking:
    """Files by number, with what speaks for them."""

    scores: Scores
    signals: Mapping[str, Scores]
    terms: Mapping[str, float]
    """The task's terms, the rarer in the repository the heavier."""
    numbers: Mapping[str, int]
    """The number of each term of the corpus."""
    called: Mapping[int, Sequence[int]]
    """By file, a line of each suspicious function that failing tests called, the worst first."""
    everything: Sequence[int]
    """All files, best first."""
    suspects: Sequence[int]
    """Those that are no tests."""

    def reasons(self, number: int) -> list[str]:
        """What speaks most for a file."""
        parts = {
            name: weight * float(self.signals[name][number]) for name, weight in WEIGHTS.items()
        }
        best = sorted(parts, key=lambda name: -parts[name])[:3]
        return [REASONS[name] for name in best if parts[name] > 0.05]


def rank(corpus: Corpus, evidence: Evidence, history: Sequence[Commit] = ()) -> Ranking:
    """Rank all files of a repository for a task."""
    numbers = {term: number for number, term in enumerate(corpus.terms)}
    found = signals(corpus, numbers, evidence, history)
    scores = fuse(found) - ASIDE_COST * (corpus.kinds == ASIDE)
    tests = np.where(corpus.kinds == TEST, scores * TEST_FACTOR, scores)
    return Ranking(
        scores=scores,
        signals=found,
        terms=_weighted(corpus, numbers, evidence),
        numbers=numbers,
        called=_called(corpus, evidence),
        everything=_order(tests),
        suspects=[number for number in _order(scores) if corpus.kinds[number] != TEST],
    )


def _called(corpus: Corpus, evidence: Evidence) -> dict[int, Sequence[int]]:
    lines = {file.path: file.lines for file in evidence.executed}
    return {n: lines[path] for n, path in enumerate(corpus.paths) if path in lines}


def _order(scores: Scores) -> list[int]:
    return [int(number) for number in np.argsort(-scores, kind="stable")]


def _weighted(corpus: Corpus, numbers: Mapping[str, int], evidence: Evidence) -> dict[str, float]:
    texts = [evidence.words, *(test.message[-2000:] for test in evidence.tests)]
    count = len(corpus.paths)
    return {
        term: float(np.log1p(count / max(len(corpus.contents.of(numbers[term])[0]), 1)))
        for term in query_terms("\n".join(texts)[:TEXT_LIMIT])
        if term in numbers
    }


def fuse(found: Mapping[str, Scores], weights: Mapping[str, float] = WEIGHTS) -> Scores:
    """The weighted sum of all signals."""
    return sum((weight * found[name] for name, weight in weights.items()), np.zeros(1))
