"""The map of a repository for a model: the best files with their best symbols, within a bound."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tools.analysis.corpus import Corpus
from tools.analysis.ranking import Ranking
from tools.analysis.words import terms_of

MAP_TOKENS = 2000
"""What a map may take of a model's context unless the caller says otherwise."""

CHARACTERS = 3
"""Characters that a token stands for; common tokenizers have more of them in code."""

CALLED = 3.0
"""What being called by failing tests counts, in rare words of the task."""

SYMBOLS = 14
"""Symbols shown of the best file; of later ones fewer."""

CONTROL = re.compile(r"[\x00-\x1f\x7f\x80-\x9f]")
"""What would let the name of a file look like lines of the map."""

NAME, PATH = 120, 300
"""Characters of a symbol's name and of a path that are shown."""


@dataclass(frozen=True)
class Symbol:
    """A definition: `name` includes what it is defined in."""

    name: str
    kind: str
    first: int
    last: int


def symbols_of(corpus: Corpus, number: int) -> list[Symbol]:
    """What a file defines, in its order."""
    found = []
    for line in corpus.symbols[number].splitlines():
        first, last, kind, name = line.split(" ", 3)
        found.append(Symbol(name, kind, int(first), int(last)))
    return found


def best_symbols(corpus: Corpus, ranking: Ranking, number: int, count: int) -> list[Symbol]:
    """Those a task is likely about, in the order of the file.

    A symbol counts by its words that the task has, by how many files mention it, and when failing
    tests called it.
    """
    scored, called = [], ranking.called.get(number, ())
    for place, symbol in enumerate(symbols_of(corpus, number)):
        terms = terms_of(symbol.name.rpartition(".")[2])
        said = sum(ranking.terms.get(term, 0.0) for term in set(terms))
        whole = ranking.numbers.get(terms[-1]) if terms else None
        users = len(corpus.contents.of(whole)[0]) if whole is not None else 0
        said += CALLED * any(symbol.first <= line <= symbol.last for line in called)
        size = 0.2 if symbol.kind in ("constant", "declaration") else 1.0
        scored.append((size * (said + 0.5 * np.log1p(users)), -place, symbol))
    scored.sort(key=lambda item: item[:2], reverse=True)
    return sorted((item[2] for item in scored[:count]), key=lambda symbol: symbol.first)


def render(corpus: Corpus, ranking: Ranking, *, tokens: int, first: Sequence[str] = ()) -> str:
    """Write files, best first, until the bound is reached; never more than the bound."""
    room, parts = tokens * CHARACTERS, []
    ahead = {path: place for place, path in enumerate(first)}
    order = sorted(ranking.everything, key=lambda n: ahead.get(corpus.paths[n], len(ahead)))
    for place, number in enumerate(order):
        count = max(SYMBOLS - place, 3) if place < 30 else 0
        text = _entry(corpus, ranking, number, count)
        if len(text) > room:
            text = _entry(corpus, ranking, number, 0)
        if len(text) > room:
            break
        parts.append(text)
        room -= len(text)
    return "".join(parts)


def _entry(corpus: Corpus, ranking: Ranking, number: int, count: int) -> str:
    path = CONTROL.sub("?", corpus.paths[number][:PATH])
    lines = [f"{path} ({corpus.lines[number]} lines)"]
    for symbol in best_symbols(corpus, ranking, number, count) if count else ():
        kind = "" if symbol.kind in ("function", "declaration") else f"{symbol.kind} "
        lines.append(f"  {symbol.first}-{symbol.last} {kind}{symbol.name[:NAME]}")
    return "\n".join(lines) + "\n"


def as_rows(corpus: Corpus, ranking: Ranking, count: int) -> list[dict[str, Any]]:
    """The best files with score, reasons and symbols, as plain data."""
    return [
        {
            "path": corpus.paths[number],
            "score": round(float(ranking.scores[number]), 4),
            "because": ranking.reasons(number),
            "symbols": [vars(symbol) for symbol in best_symbols(corpus, ranking, number, 8)],
        }
        for number in ranking.suspects[:count]
    ]
