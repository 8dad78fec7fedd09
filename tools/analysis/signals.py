"""What each kind of evidence says of each file: words, the graph, history, tests, stack traces."""

from collections.abc import Mapping, Sequence

import numpy as np
import rustworkx
from numpy.typing import NDArray

from tools.analysis.corpus import TEST, Corpus, Postings
from tools.analysis.evidence import TEXT_LIMIT, Commit, Evidence, frames
from tools.analysis.words import path_terms, query_terms

Scores = NDArray[np.float64]

K1, B = 1.2, 0.6
"""The constants of BM25: how soon repeating a word says no more, how much long files lose."""

FADING = 0.4
"""What each place of a stack trace counts of the place it called."""

SEEDS = 20
"""Files from which the walk over the graph starts."""

STAY = 0.6
"""How likely the walk goes on rather than back to a seed."""


def bm25(postings: Postings, terms: Mapping[int, float], *, b: float = B) -> Scores:
    """Okapi BM25 of every file for weighted terms."""
    count = len(postings.lengths)
    scores = np.zeros(count)
    mean = max(postings.lengths.mean(), 1.0) if count else 1.0
    norm = K1 * (1 - b + b * postings.lengths / mean)
    for term, weight in terms.items():
        files, counts = postings.of(term)
        if len(files):
            rarity = np.log1p((count - len(files) + 0.5) / (len(files) + 0.5))
            found = counts.astype(np.float64)
            scores[files] += weight * rarity * found * (K1 + 1) / (found + norm[files])
    return scores


def _scaled(scores: Scores) -> Scores:
    """The same from 0 to 1."""
    top = scores.max(initial=0.0)
    return scores / top if top > 0 else scores


def signals(
    corpus: Corpus, numbers: Mapping[str, int], evidence: Evidence, history: Sequence[Commit]
) -> dict[str, Scores]:
    """What each kind of evidence says of each file, from 0 to 1."""
    told = "\n".join(test.message[-TEXT_LIMIT:] for test in evidence.tests)[-4 * TEXT_LIMIT :]
    task = _known(numbers, query_terms(evidence.words))
    said = _known(numbers, query_terms(told))
    found = {
        "contents": bm25(corpus.contents, task),
        "names": bm25(corpus.names, task),
        "places": bm25(corpus.places, task, b=0.3),
        "test_contents": bm25(corpus.contents, said),
        "test_names": bm25(corpus.names, said),
        "test_places": bm25(corpus.places, _test_places(numbers, evidence), b=0.3),
        "trace": _trace(corpus, evidence),
        "executed": _executed(corpus, evidence),
        **_history(corpus, evidence, history),
    }
    found = {name: _scaled(scores) for name, scores in found.items()}
    found["walk"] = _scaled(_walk(corpus, _seeds(corpus, found, evidence)))
    return found


def _known(numbers: Mapping[str, int], terms: Mapping[str, int]) -> dict[int, float]:
    return {numbers[t]: 1 + float(np.log(n)) for t, n in terms.items() if t in numbers}


def _seeds(corpus: Corpus, found: Mapping[str, Scores], evidence: Evidence) -> dict[int, float]:
    """Where the walk starts: files that words speak for, and the failing tests."""
    scores = found["contents"] + found["names"] + found["places"] + 2 * found["trace"]
    scores = (scores + found["test_contents"] + found["test_names"]) * (corpus.kinds != TEST)
    best = np.argsort(-scores, kind="stable")[:SEEDS]
    seeds = {int(number): float(scores[number]) ** 2 for number in best if scores[number] > 0}
    tests = {test.path for test in evidence.tests}
    return seeds | {n: 1.0 for n, path in enumerate(corpus.paths) if path in tests}


def _test_places(numbers: Mapping[str, int], evidence: Evidence) -> dict[int, float]:
    terms: dict[int, float] = {}
    for test in evidence.tests:
        for term in path_terms(test.path):
            if term in numbers and term != "test":
                terms[numbers[term]] = terms.get(numbers[term], 0) + 1
    return terms


def _trace(corpus: Corpus, evidence: Evidence) -> Scores:
    """Files of stack traces; the later in a trace, the closer to what went wrong."""
    scores = np.zeros(len(corpus.paths))
    by_name: dict[str, list[int]] = {}
    for number, path in enumerate(corpus.paths):
        by_name.setdefault(path.rpartition("/")[2], []).append(number)
    for text in (evidence.task, *(test.message for test in evidence.tests)):
        seen: list[int] = []
        for path in frames(text):
            same = by_name.get(path.rpartition("/")[2], ())
            found = [number for number in same if _is_end(path, corpus.paths[number])]
            seen += [number for number in found[:1] if corpus.kinds[number] != TEST]
        for distance, number in enumerate(reversed(seen)):
            scores[number] += FADING**distance
    return scores


def _executed(corpus: Corpus, evidence: Evidence) -> Scores:
    """How suspicious the functions are that failing tests called."""
    scores = {file.path: file.score for file in evidence.executed}
    return np.array([scores.get(path, 0.0) for path in corpus.paths])


def _is_end(one: str, other: str) -> bool:
    """Whether one of two paths is the end of the other: traces have absolute and relative ones."""
    return f"/{one}".endswith(f"/{other}") or f"/{other}".endswith(f"/{one}")


def _history(corpus: Corpus, evidence: Evidence, history: Sequence[Commit]) -> dict[str, Scores]:
    """How often and how lately files were changed, and by commits with titles like the task."""
    places = {path: number for number, path in enumerate(corpus.paths)}
    recent, alike, together = (np.zeros(len(places)) for _ in range(3))
    tests = {test.path for test in evidence.tests}
    wanted = query_terms(evidence.words)
    seen: dict[str, int] = {}
    titles = [query_terms(commit.title) for commit in history]
    for title in titles:
        for term in title:
            seen[term] = seen.get(term, 0) + 1
    for age, (commit, title) in enumerate(zip(history, titles, strict=True)):
        changed = [places[path] for path in commit.files if path in places]
        if not changed or len(changed) > 20:
            continue
        if not tests.isdisjoint(commit.files):
            together[changed] += 1 / len(changed)
        recent[changed] += 1 / (1 + age / 100) / len(changed)
        shared = [term for term in wanted if term in title]
        if shared:
            weight = sum(np.log1p(len(titles) / seen[term]) for term in shared)
            length = np.sqrt(1 + len(title))
            alike[changed] = alike[changed] + (weight / length) ** 2 / len(changed)
    return {"recent": np.log1p(recent), "alike": np.sqrt(alike), "test_together": together}


def _walk(corpus: Corpus, seeds: Mapping[int, float]) -> Scores:
    """PageRank over who refers to whom, starting again and again at the seeds, or anywhere."""
    graph = rustworkx.PyDiGraph(multigraph=False)
    graph.add_nodes_from(range(len(corpus.paths)))
    ends = corpus.sources.tolist(), corpus.targets.tolist(), corpus.weights.tolist()
    graph.add_edges_from(list(zip(*ends, strict=True)))
    ranks = rustworkx.pagerank(
        graph, alpha=STAY, weight_fn=float, personalization=dict(seeds) or None, tol=1e-4
    )
    return np.array([ranks[number] for number in range(len(corpus.paths))])
