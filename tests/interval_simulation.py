"""How often intervals hold the truth in simulated studies, and how often a word errs: what docs/numbers.md reports.

Everything is computed by the package's own arithmetic, with many studies along a leading axis.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy.special import stdtrit
from simulated_studies import chunks, other_split

from autopeft.front.crossed import Variance, variance_of_difference, variance_of_mean
from autopeft.front.intervals import EQUIVALENCE, LEVEL
from autopeft.front.more_seeds import EARLY_EQUIVALENCE, EARLY_LEVEL

ROWS = (200, 500, 1000, 2000)
SEEDS = (2, 3, 4, 5)
ACCURACIES = (0.6, 0.8, 0.95)
SPREADS = ((0.003, 0.003), (0.008, 0.008), (0.003, 0.015), (0.015, 0.015))  # over seeds, of two configurations
MARGIN = 0.01
POWER_AT = 0.02
FINALISTS = (0.003, 0.005, 0.008, 0.008, 0.01, 0.015)  # over seeds, and then uniform LoRA's
UNIFORM = 0.006

Shares = dict[str, float]


@dataclass(frozen=True)
class Gap:
    """Differences (R,) and their variances."""

    mean: np.ndarray
    variance: Variance

    def half(self, level: float = LEVEL) -> np.ndarray:
        return stdtrit(self.variance.df, (1 + level) / 2) * np.sqrt(self.variance.value)

    def beyond(self, level: float = LEVEL) -> np.ndarray:
        """Better or worse."""
        return np.abs(self.mean) > self.half(level)

    def equivalent(self, level: float = EQUIVALENCE) -> np.ndarray:
        return np.abs(self.mean) + self.half(level) < MARGIN


def gap_of(one: np.ndarray, other: np.ndarray) -> Gap:
    """Right answers (R, S, N) of two configurations."""
    scores, others = one.mean(-1, dtype=float), other.mean(-1, dtype=float)
    return Gap((scores - others).mean(-1), variance_of_difference(scores, others, one, other, False))


def mean_of(values: np.ndarray, truth: float) -> Gap:
    """Right answers (R, S, N) of one configuration, as a difference from its truth."""
    scores = values.mean(-1, dtype=float)
    return Gap(scores.mean(-1) - truth, variance_of_mean(scores, values, False))


def over_seeds_only(scores: np.ndarray, others: np.ndarray | None = None) -> Gap:
    """What release 0.1 did: Student's t over seeds, and Welch's difference."""
    count = scores.shape[-1]
    a = scores.var(-1, ddof=1) / count
    if others is None:
        return Gap(scores.mean(-1), Variance(a, np.full_like(a, count - 1)))
    b = others.var(-1, ddof=1) / count
    df = (count - 1) * (a + b) ** 2 / np.maximum(a**2 + b**2, 1e-300)
    return Gap((scores - others).mean(-1), Variance(a + b, np.where(a + b > 0, df, count - 1)))


def averaged(found: dict[tuple, list[dict[str, np.ndarray]]]) -> dict[tuple, Shares]:
    return {
        cell: {name: float(np.mean(np.concatenate([part[name] for part in parts]))) for name in parts[0]}
        for cell, parts in found.items()
    }


def pairs(rows: int, studies: int) -> dict[tuple, Shares]:
    """Two configurations, (rows, accuracy, spreads, seeds) -> how often what happens."""
    found: dict[tuple, list] = defaultdict(list)
    for world in chunks(studies, 2, SEEDS[-1], rows):
        for accuracy in ACCURACIES:
            for spreads in SPREADS:
                base, equal = np.moveaxis(world.right((accuracy, accuracy), spreads).astype(np.float32), 1, 0)
                at_margin, above = (
                    world.right((accuracy, accuracy + gap), spreads)[:, 1].astype(np.float32)
                    for gap in (MARGIN, POWER_AT)
                )
                for seeds in SEEDS:
                    cut = (x[:, :seeds] for x in (base, equal, at_margin, above))
                    found[rows, accuracy, spreads, seeds].append(of_pair(*cut, accuracy))
    return averaged(found)


def of_pair(
    base: np.ndarray, equal: np.ndarray, at_margin: np.ndarray, above: np.ndarray, accuracy: float
) -> dict[str, np.ndarray]:
    """Right answers (R, S, N) of a configuration, of an equal one, of one a margin above and of one two points above."""
    none, two = gap_of(equal, base), gap_of(above, base)
    said = two.beyond() | two.equivalent()
    scores, others = equal.mean(-1, dtype=float), base.mean(-1, dtype=float)
    old_mean, old = over_seeds_only(scores), over_seeds_only(scores, others)
    return {
        "estimate": ~mean_of(equal, accuracy).beyond(),
        "difference": np.abs(two.mean - POWER_AT) <= two.half(),
        "type I": none.beyond(),
        "equivalent at the margin": gap_of(at_margin, base).equivalent(),
        "power": (two.mean > two.half()),
        "undecided": ~said,
        "equivalent when equal": none.equivalent() & ~none.beyond(),
        "old estimate": np.abs(old_mean.mean - accuracy) <= old_mean.half(),
        "old type I": old.beyond(),
    }


def studies_with_a_choice(rows: int, studies: int, accuracy: float = 0.8) -> dict[tuple, Shares]:
    """Six equal finalists, of which the best on a validation split is compared with uniform LoRA on the test split."""
    found: dict[tuple, list] = defaultdict(list)
    count, generator = len(FINALISTS) + 1, np.random.default_rng(1)
    for world in chunks(studies, count, SEEDS[-1], rows, seed=1):
        accuracies, spreads = (accuracy,) * count, (*FINALISTS, UNIFORM)
        test = world.right(accuracies, spreads)
        validation = other_split(world, generator).right(accuracies, spreads)
        for seeds in SEEDS:
            best = validation[:, :-1, :seeds].mean((2, 3)).argmax(1)
            chosen, uniform = (
                test[np.arange(len(best)), best, :seeds].astype(np.float32),
                test[:, -1, :seeds].astype(np.float32),
            )
            gap, old = (
                gap_of(chosen, uniform),
                over_seeds_only(chosen.mean(-1, dtype=float), uniform.mean(-1, dtype=float)),
            )
            found[rows, accuracy, "chosen", seeds].append(
                {
                    "type I": gap.beyond(),
                    "better": gap.mean > gap.half(),
                    "bias": 100 * gap.mean,
                    "old type I": old.beyond(),
                }
            )
    return averaged(found)


def looks(rows: int, studies: int, accuracy: float = 0.8) -> dict[tuple, Shares]:
    """Seeds one by one, from two or three to five: errors of all looks together, without and with the stricter level."""
    found: dict[tuple, list] = defaultdict(list)
    for world in chunks(studies, 2, SEEDS[-1], rows, seed=2):
        for spreads in SPREADS:
            base, equal = np.moveaxis(world.right((accuracy, accuracy), spreads).astype(np.float32), 1, 0)
            above = world.right((accuracy, accuracy + MARGIN), spreads)[:, 1].astype(np.float32)
            two = world.right((accuracy, accuracy + POWER_AT), spreads)[:, 1].astype(np.float32)
            gaps = [[gap_of(other[:, :seeds], base[:, :seeds]) for seeds in SEEDS] for other in (equal, above, two)]
            for first in (2, 3):
                found[rows, accuracy, spreads, first].append(of_looks(*(g[SEEDS.index(first) :] for g in gaps)))
    return averaged(found)


def of_looks(equal: list[Gap], above: list[Gap], two: list[Gap]) -> dict[str, np.ndarray]:
    """What is said at any look at a difference of nothing, of the margin and of two points; a gap for each look."""

    def ever(gaps: list[Gap], says: Callable[[Gap, float], np.ndarray], early: float, last: float) -> np.ndarray:
        return np.any([says(gap, early) for gap in gaps[:-1]] + [says(gaps[-1], last)], axis=0)

    return {
        "plain type I": ever(equal, Gap.beyond, LEVEL, LEVEL),
        "type I": ever(equal, Gap.beyond, EARLY_LEVEL, LEVEL),
        "plain equivalent": ever(above, Gap.equivalent, EQUIVALENCE, EQUIVALENCE),
        "equivalent at the margin": ever(above, Gap.equivalent, EARLY_EQUIVALENCE, EQUIVALENCE),
        "power": ever(two, Gap.beyond, EARLY_LEVEL, LEVEL),
        "seeds": seeds_spent(two),
    }


def seeds_spent(gaps: list[Gap]) -> np.ndarray:
    """How many seeds each comparison takes (R,), with a gap for each look up to the most seeds."""
    spent = np.full(len(gaps[0].mean), float(SEEDS[-1] - len(gaps) + 1))
    still = np.ones(len(spent), dtype=bool)
    for gap in gaps[:-1]:
        still &= ~(gap.beyond(EARLY_LEVEL) | gap.equivalent(EARLY_EQUIVALENCE))
        spent += still
    return spent


def error(share: float, studies: int) -> float:
    """Standard error of a share of that many studies."""
    return sqrt(share * (1 - share) / studies)
