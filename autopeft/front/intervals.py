"""Scores of runs and what they make of each unit -> means and differences with intervals, and what these say.

Every configuration is trained with the same S seeds and scored on the same N units of a split, so a score of seed s on
unit r is x[s, r] = mean + seed[s] + unit[r] + rest[s, r]: crossed random effects. An interval holds both, the draw of
the seeds and the draw of the units (docs/front.md).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from autopeft.base.errors import AutopeftError
from autopeft.front.crossed import Variance, variance_of_difference, variance_of_mean
from autopeft.objectives.objective import Direction
from autopeft.tasks.unit_scores import UnitScores

LEVEL = 0.95
EQUIVALENCE = 0.90  # the interval of two one-sided tests at 5 %
NAN = float("nan")

Word = Literal["better", "worse", "equivalent", "undecided"]
Runs: TypeAlias = Mapping[int, tuple[float, UnitScores | None]]  # seed -> the score of its run, and of its units


@dataclass(frozen=True)
class Interval:
    """A mean with its intervals by Student's t.

    Attributes:
        mean: of the scores, or of the differences, over seeds.
        sd: their standard deviation over seeds, NaN for one seed.
        se: the standard error of the mean, NaN where there is no interval.
        df: its degrees of freedom.
    """

    mean: float
    sd: float
    se: float
    df: float

    def at(self, level: float) -> tuple[float, float]:
        """The ends of the interval at a level such as 0.95, NaN where there is none."""
        half = float(stdtrit(self.df, (1 + level) / 2)) * self.se
        return self.mean - half, self.mean + half

    @property
    def low(self) -> float:
        """The lower end of the 95 % interval."""
        return self.at(LEVEL)[0]

    @property
    def high(self) -> float:
        """The upper end of the 95 % interval."""
        return self.at(LEVEL)[1]

    @property
    def half(self) -> float:
        """Half of the 95 % interval's width, NaN where there is none."""
        return (self.high - self.low) / 2


def over_seeds(scores: ArrayLike) -> Interval:
    """Student's t interval of the mean of values that have no units, such as seconds; none for a single one."""
    scores = np.asarray(scores, dtype=float)
    mean, sd = float(scores.mean()), _sd(scores)
    return Interval(mean, sd, sd / sqrt(len(scores)), float(len(scores) - 1) if len(scores) > 1 else NAN)


def estimate(runs: Runs) -> Interval:
    """The mean score of a configuration with its interval.

    Args:
        runs: of each seed the score, and what the metric makes of the units.

    Returns:
        The interval, which holds the seeds and the units. There is none (NaN) for a single seed, and none where a run
        has no unit scores (a study of release 0.1): what the seeds alone say covers too little.

    Raises:
        AutopeftError: the runs were not scored on the same units.
    """
    scores = _scores(runs)
    units = _stacked([scored for _, scored in runs.values()])
    mean, sd = float(scores.mean()), _sd(scores)
    if units is None or len(scores) < 2:
        return Interval(mean, sd, NAN, NAN)
    return _interval(mean, sd, variance_of_mean(scores, *units))


def difference(one: Runs, other: Runs) -> Interval:
    """The mean of one minus the mean of the other, paired over the units and over the seeds that both have.

    Args:
        one: of each seed the score, and what the metric makes of the units.
        other: the same of what it is compared with.

    Returns:
        The difference with its interval; NaN as in `estimate`. Its width is never zero.

    Raises:
        AutopeftError: the runs were not scored on the same units.
    """
    seeds = sorted(one.keys() & other.keys())
    if not seeds:
        return Interval(float(_scores(one).mean() - _scores(other).mean()), NAN, NAN, NAN)
    pairs = [{seed: runs[seed] for seed in seeds} for runs in (one, other)]
    mine, its = map(_scores, pairs)
    mean, sd = float((mine - its).mean()), _sd(mine - its)
    units = _stacked([scored for runs in pairs for _, scored in runs.values()])
    if units is None or len(seeds) < 2:
        return Interval(mean, sd, NAN, NAN)
    values, resampled = units
    my_values, its_values = np.split(values, 2)
    return _interval(mean, sd, variance_of_difference(mine, its, my_values, its_values, resampled))


def judgement(gap: Interval, margin: float, direction: Direction = "maximize") -> Word:
    """What a difference says.

    Args:
        gap: a difference with its interval.
        margin: differences up to it do not matter, in the unit of the score.
        direction: of the objective that it is a difference of.

    Returns:
        "better" or "worse" where the 95 % interval lies on one side of zero, also if the difference is within the
        margin; else "equivalent" or "undecided".
    """
    low, high = (gap.low, gap.high) if direction == "maximize" else (-gap.high, -gap.low)
    if low > 0:
        return "better"
    if high < 0:
        return "worse"
    return "equivalent" if equivalent(gap, margin) else "undecided"


def equivalent(gap: Interval, margin: float, level: float = EQUIVALENCE) -> bool:
    """Two one-sided tests at 5 %: whether the 90 % interval lies within the margin on both sides of zero."""
    low, high = gap.at(level)
    return -margin < low and high < margin


def _interval(mean: float, sd: float, variance: Variance) -> Interval:
    return Interval(mean, sd, sqrt(variance.value), float(variance.df))


def _scores(runs: Runs) -> np.ndarray:
    return np.array([score for score, _ in runs.values()], dtype=float)


def _stacked(found: list[UnitScores | None]) -> tuple[np.ndarray, bool] | None:
    """Unit scores of S runs -> (S, N) or (S, B), without the resamples that a run has no value of; None if one is missing.

    Raises:
        AutopeftError: they are of different units.
    """
    scored = [one for one in found if one is not None]
    if len(scored) < len(found):
        return None
    if len({(len(one.values), one.resampled) for one in scored}) > 1:
        raise AutopeftError(
            "Runs that are compared were scored on different rows: delete the study's outcomes.jsonl to train them again."
        )
    values = np.stack([one.values for one in scored])
    values = values[:, np.isfinite(values).all(0)]
    enough = 2 * values.shape[1] >= len(scored[0].values) and values.shape[1] > 1
    return (values, scored[0].resampled) if enough else None


def _sd(scores: np.ndarray) -> float:
    return float(scores.std(ddof=1)) if len(scores) > 1 else NAN
