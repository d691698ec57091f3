"""Scores of S seeds on the same U units -> the variance of their mean over the draw of seeds and of units.

A score is x[s, u] = mean + seed[s] + unit[u] + rest[s, u] (crossed random effects). Shapes: any leading axes, S seeds, U
units (or resamples of the units, on which a metric that is no mean was computed).
"""

from dataclasses import dataclass

import numpy as np

PAIRED_SEEDS = 5  # from so many on the spread of paired differences is known well enough to be used
RESAMPLED = 0.01  # the share of a resampled score's variance that stands for one more unit


@dataclass(frozen=True)
class Variance:
    """An estimated variance (...) with its degrees of freedom (...)."""

    value: np.ndarray
    df: np.ndarray


def variance_of_mean(scores: np.ndarray, values: np.ndarray, resampled: bool) -> Variance:
    """The variance of a configuration's mean score.

    Args:
        scores: (..., S).
        values: of the units or the resamples, (..., S, U).
        resampled: which of the two.
    """
    freedom = np.full(scores.shape[:-1], scores.shape[-1] - 1.0)
    return _crossed(Variance(scores.var(-1, ddof=1), freedom), values, resampled, 2 * _one_unit(values, resampled))


def variance_of_difference(
    scores: np.ndarray, others: np.ndarray, values: np.ndarray, other_values: np.ndarray, resampled: bool
) -> Variance:
    """The variance of the difference of two mean scores, paired over seeds and units.

    Args:
        scores: of the one, (..., S).
        others: of the other.
        values: of the one's units or resamples, (..., S, U).
        other_values: the other's, of the same.
        resampled: which of the two.
    """
    one_unit = (_one_unit(values, resampled) + _one_unit(other_values, resampled)) / 2
    return _crossed(_seeds_of_difference(scores, others), values - other_values, resampled, one_unit)


def _seeds_of_difference(scores: np.ndarray, others: np.ndarray) -> Variance:
    """The variance of a difference over seeds: of the paired differences, or of few seeds the sum of both runs' own.

    Fewer paired differences say too little of their own spread. The sum is too large where the seeds move both
    runs alike, but has up to twice the degrees of freedom (Welch 1947, Biometrika 34, eq. 28).
    """
    freedom = scores.shape[-1] - 1.0
    if scores.shape[-1] >= PAIRED_SEEDS:
        paired = (scores - others).var(-1, ddof=1)
        return Variance(paired, np.full(paired.shape, freedom))
    a, b = scores.var(-1, ddof=1), others.var(-1, ddof=1)
    squares = a**2 + b**2
    return Variance(a + b, np.divide(freedom * (a + b) ** 2, squares, out=np.full_like(a, freedom), where=squares > 0))


def _crossed(seeds: Variance, values: np.ndarray, resampled: bool, pseudo: np.ndarray) -> Variance:
    """Put together what the seeds and what the units contribute to the variance of a mean over S seeds.

    Args:
        seeds: the variance of a single seed's score.
        values: (..., S, U).
        resampled: whether they are of resamples.
        pseudo: variance that is added, lest units that all agree are taken for certainty (...).
    """
    count = values.shape[-2]
    together, rest = _units(values, resampled)
    excess = np.maximum(seeds.value / count - rest, 0)
    unit = together.value + pseudo
    total = np.maximum(excess + unit, np.finfo(float).tiny)
    # Satterthwaite (1946, Biometrics Bulletin 2) has the square of a part's share. A spread of few seeds that is small by
    # chance would then claim degrees of freedom that nobody has seen. With the root of the share instead, and with half
    # at least for two seeds, intervals hold 95 % whatever the seeds' part is (tests/benchmarks/intervals.py).
    share = np.maximum(np.sqrt(excess / total), 0.5 if count == 2 else 0)
    return Variance(total, 1 / (share / seeds.df + (unit / total) ** 2 / together.df))


def _units(values: np.ndarray, resampled: bool) -> tuple[Variance, np.ndarray]:
    """(..., S, U) -> the variance of the mean over the draw of units, and the part of it that falls with S."""
    count, size = values.shape[-2:]
    scale = 1 if resampled else size
    means = values.mean(-2)
    together = means.var(-1, ddof=1) / scale
    rest = np.maximum(values.var(-1, ddof=1).mean(-1) / scale - together, 0) / (count - 1)
    return Variance(together, np.full(together.shape, size - 1.0) if resampled else _freedom(means)), rest


def _freedom(values: np.ndarray) -> np.ndarray:
    """The degrees of freedom of the variance of units (..., N): few where a few units make all of it."""
    squares = np.square(values - values.mean(-1, keepdims=True))
    size, spread = values.shape[-1], squares.var(-1)
    most = np.full(spread.shape, size - 1.0)
    return np.clip(np.divide(2 * size * squares.mean(-1) ** 2, spread, out=most.copy(), where=spread > 0), 1, most)


def _one_unit(values: np.ndarray, resampled: bool) -> np.ndarray:
    """The variance that one more unit would add: 1 / N^2 where units are right or wrong, else a usual unit's share.

    As Agresti and Min (2005, Statistics in Medicine 24) add half a pair to each kind of disagreement, and Agresti and
    Coull (1998) two right and two wrong ones to a proportion.
    """
    own = values.var(-1, ddof=1).mean(-1)
    if resampled:
        return RESAMPLED * own
    return (np.ones_like(own) if np.isin(values, (0, 1)).all() else own) / values.shape[-1] ** 2
