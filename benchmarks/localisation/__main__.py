"""Measures the ranking on historical fixes, beside plain BM25.

    python -m benchmarks.localisation MIRRORS [--cache FOLDER] [--fit] [--executed FILE]

MIRRORS holds bare clones as `owner+name/repo`; fixes of repositories that are not there are left
out. Weights were fitted to the repositories of half A; half B is what they have not seen. Of some
fixes it is known what the failing tests executed (`benchmarks.localisation.execute`); a file that
program wrote has what they said as well, which then takes the place of their source.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.localisation.case import Case
from benchmarks.localisation.fitting import fitted
from benchmarks.localisation.plain import plain_bm25
from benchmarks.localisation.trees import Trees, history, test_source
from tools.analysis.corpus import ASIDE, TEST
from tools.analysis.evidence import Commit, Evidence, FailingTest, Touched, failing_test
from tools.analysis.ranking import rank
from tools.analysis.signals import Scores

FIXES = Path(__file__).with_name("fixes.jsonl")
EXECUTED = Path(__file__).with_name("executed.jsonl")
Fix = dict[str, Any]

GIVEN = ("title", "failing tests", "title and failing tests")
"""What the ranking knows of a fix: of tests it knows the source, not what they printed."""

NONE: Mapping[str, Fix] = {}

COMMITS = 2000
"""Past commits that the ranking knows, as many as a desktop keeps."""

LARGE = 300
"""Code files above which a tree counts as large."""


def half_of(repository: str) -> str:
    """A or B, by the name alone."""
    return "AB"[hashlib.sha256(repository.encode()).digest()[0] % 2]


def cases(
    mirrors: Path,
    trees: Trees,
    fixes: Sequence[Fix],
    given: str,
    runs: Mapping[str, Fix] = NONE,
) -> Iterator[Case]:
    """Rank the files of each fix's base, given one of `GIVEN`, and what is known of runs."""
    for fix in fixes:
        mirror = mirrors / fix["repository"].replace("/", "+") / "repo"
        corpus = trees.corpus(mirror, fix["base"])
        told = {
            path: test_source(mirror, fix["fix"], path, names)
            for path, names in fix["tests"].items()
            if "tests" in given
        }
        past = [Commit(*entry) for entry in history(mirror, fix["base"], COMMITS)]
        tests = [
            FailingTest(path, text, " ".join(fix["tests"][path])) for path, text in told.items()
        ]
        title = fix["title"] if "title" in given else ""
        run = runs.get(fix["fix"], {})
        tests = [failing_test(*said) for said in run.get("messages", [])] or tests
        executed = [Touched(path, score) for path, score in run.get("executed", [])]
        evidence = Evidence(title, tests, executed)
        ranking = rank(corpus, evidence, past)
        allowed = np.flatnonzero(corpus.kinds != TEST)
        places = {corpus.paths[number]: place for place, number in enumerate(allowed)}
        gold = [places[path] for path in fix["files"] if path in places]
        if gold:
            text = "\n".join([title, *told.values()])
            yield Case(
                half_of(fix["repository"]), len(corpus.paths) > LARGE, gold,
                plain_bm25(corpus, text)[allowed], ranking.scores[allowed],
                {name: scores[allowed] for name, scores in ranking.signals.items()},
                (corpus.kinds[allowed] == ASIDE).astype(np.float64),
            )  # fmt: skip


def place_of(scores: Scores, gold: Sequence[int]) -> int:
    """The place, from 1, of the best of the fixed files; files with the same score come before."""
    best = max(scores[number] for number in gold)
    return int((scores >= best).sum() - (scores[gold] == best).sum()) + 1


def report(name: str, found: Sequence[Case]) -> None:
    """One line each for BM25 and the ranking: how often first, and the mean reciprocal rank."""
    for method in ("plain", "fused"):
        places = np.array([place_of(getattr(case, method), case.gold) for case in found])
        if len(places):
            first, mrr = (places == 1).mean(), (1 / places).mean()
            label = {"plain": "BM25", "fused": "ranking"}[method]
            sys.stdout.write(
                f"{name:<28} {label:<8} n={len(places):<4} first {first:.3f}  MRR {mrr:.3f}\n"
            )


def report_runs(mirrors: Path, trees: Trees, fixes: Sequence[Fix], file: Path) -> None:
    """The same for the fixes whose tests were run, without and with what they executed."""
    runs = {run["fix"]: run for run in map(json.loads, file.read_text().splitlines())}
    fixes = [fix for fix in fixes if fix["fix"] in runs]
    said = {name: {**run, "executed": []} for name, run in runs.items()}
    for given in GIVEN[1:]:
        for name, known in (("run", said), ("run, executed", runs)):
            found = list(cases(mirrors, trees, fixes, given, known))
            for half in ("A", "B", "AB"):
                part = [case for case in found if case.half in half]
                report(f"{given}, {name}, half {half}", part)


def main() -> None:
    """Print the tables; with `--fit`, weights for half A as well."""
    parser = argparse.ArgumentParser(prog="benchmarks.localisation", description=__doc__)
    parser.add_argument("mirrors", type=Path)
    parser.add_argument("--cache", type=Path, default=Path(".cache/localisation"))
    parser.add_argument("--fit", action="store_true", help="fit weights to half A")
    parser.add_argument("--executed", type=Path, default=EXECUTED)
    options = parser.parse_args()
    fixes = [json.loads(line) for line in FIXES.read_text().splitlines()]
    fixes = [f for f in fixes if (options.mirrors / f["repository"].replace("/", "+")).is_dir()]
    trees, everything = Trees(options.cache), []
    for given in GIVEN:
        found = list(cases(options.mirrors, trees, fixes, given))
        everything += found if given == GIVEN[-1] else []
        for half in ("A", "B"):
            part = [case for case in found if case.half == half]
            report(f"{given}, half {half}", part)
            report(f"{given}, half {half}, large", [case for case in part if case.large])
    report_runs(options.mirrors, trees, fixes, options.executed)
    if options.fit:
        weights = fitted([case for case in everything if case.half == "A"])
        sys.stdout.write(json.dumps(weights) + "\n")


if __name__ == "__main__":
    main()
