"""Scores over seeds -> mean, spread, intervals and the difference of two."""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from autopeft.objectives.objective import Direction

LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % interval."""

    mean: float
    sd: float
    low: float
    high: float

    @property
    def half(self) -> float:
        """Half of the interval's width, NaN where there is none."""
        return (self.high - self.low) / 2


def over_seeds(scores: ArrayLike) -> Interval:
    """Student's t interval of the mean over seeds; a single seed has no spread and no interval width (NaN)."""
    scores = np.asarray(scores, dtype=float)
    if len(scores) < 2:
        return Interval(float(scores.mean()), float("nan"), float("nan"), float("nan"))
    mean, sd = float(scores.mean()), float(scores.std(ddof=1))
    half = float(stats.t.ppf((1 + LEVEL) / 2, len(scores) - 1)) * sd / sqrt(len(scores))
    return Interval(mean, sd, mean - half, mean + half)


def sampling_error(score: float, rows: int) -> float:
    """Standard error of an accuracy measured on that many rows: sqrt(p (1 - p) / n). All points of a study share the rows."""
    return sqrt(max(0.0, score * (1 - score)) / rows)


def difference(one: ArrayLike, other: ArrayLike) -> Interval:
    """Mean of one minus mean of the other over seeds, with Welch's interval (unequal variances)."""
    one, other = np.asarray(one, dtype=float), np.asarray(other, dtype=float)
    gap = float(one.mean() - other.mean())
    if min(len(one), len(other)) < 2:
        return Interval(gap, float("nan"), float("nan"), float("nan"))
    variances = one.var(ddof=1) / len(one), other.var(ddof=1) / len(other)
    spread = sqrt(sum(variances))
    if spread == 0:
        return Interval(gap, 0.0, gap, gap)
    freedom = sum(variances) ** 2 / (variances[0] ** 2 / (len(one) - 1) + variances[1] ** 2 / (len(other) - 1))
    half = float(stats.t.ppf((1 + LEVEL) / 2, freedom)) * spread
    return Interval(gap, spread, gap - half, gap + half)


def judgement(gap: Interval, direction: Direction = "maximize") -> str:
    """Whether a difference says anything.

    Args:
        gap: a difference with its interval.
        direction: of the objective that it is a difference of.

    Returns:
        "better" or "worse"; "within noise" when the interval holds zero or there is none.
    """
    low, high = (gap.low, gap.high) if direction == "maximize" else (-gap.high, -gap.low)
    if low > 0:
        return "better"
    return "worse" if high < 0 else "within noise"
