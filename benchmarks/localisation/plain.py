"""The baseline: Okapi BM25 over contents and path, as one bag of words."""

import numpy as np

from tools.analysis.corpus import Corpus
from tools.analysis.signals import Scores
from tools.analysis.words import query_terms

K1, B = 1.2, 0.75


def plain_bm25(corpus: Corpus, text: str) -> Scores:
    """Score every file for a text; identifiers are split as in the ranking."""
    numbers = {term: number for number, term in enumerate(corpus.terms)}
    count = len(corpus.paths)
    lengths = corpus.contents.lengths + corpus.places.lengths
    norm = K1 * (1 - B + B * lengths / max(lengths.mean(), 1.0))
    scores = np.zeros(count)
    for term in query_terms(text):
        if term not in numbers:
            continue
        found = np.zeros(count)
        for postings in (corpus.contents, corpus.places):
            files, counts = postings.of(numbers[term])
            found[files] += counts
        holds = (found > 0).sum()
        rarity = np.log1p((count - holds + 0.5) / (holds + 0.5))
        scores += rarity * found * (K1 + 1) / (found + norm)
    return scores
