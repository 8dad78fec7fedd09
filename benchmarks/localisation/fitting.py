"""Fits the weights of the signals: the fixed file should be the likeliest of all (softmax)."""

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.localisation.case import Case
from tools.analysis.ranking import WEIGHTS
from tools.analysis.signals import Scores

STEPS, RATE, DECAY = 600, 0.1, 0.02
NOT_FITTED = frozenset({"trace", "executed"})
"""Most of the fixes come without a run."""


def fitted(samples: Sequence[Case]) -> Mapping[str, float]:
    """Weights of at least 0 that make the logarithm of the fixed file's probability largest."""
    names = [name for name in WEIGHTS if name not in NOT_FITTED]
    values = [np.stack([sample.signals[name] for name in names]) for sample in samples]
    weights = np.ones(len(names))
    mean, square = np.zeros(len(names)), np.zeros(len(names))
    for step in range(1, STEPS + 1):
        gradient = sum(
            _gradient(weights, matrix, sample)
            for matrix, sample in zip(values, samples, strict=True)
        )
        gradient = gradient / len(samples) - DECAY * weights
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.99 * square + 0.01 * gradient**2
        pace = np.sqrt(square / (1 - 0.99**step)) + 1e-8
        weights = np.maximum(weights + RATE * mean / (1 - 0.9**step) / pace, 0)
    return {name: round(float(weight), 2) for name, weight in zip(names, weights, strict=True)}


def _gradient(weights: Scores, matrix: Scores, sample: Case) -> Scores:
    scores = weights @ matrix - 1.2 * sample.aside
    odds = np.exp(scores - scores.max())
    odds /= odds.sum()
    wanted = odds[sample.gold] / odds[sample.gold].sum()
    return np.asarray(matrix[:, sample.gold] @ wanted - matrix @ odds)
