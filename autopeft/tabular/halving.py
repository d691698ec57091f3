"""Successive halving over the runs of a tabular benchmark: what it would spend, and what it would keep."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autopeft.base.pareto import non_dominated
from autopeft.base.recipe import COHORT
from autopeft.front.intervals import over_seeds
from autopeft.study.promotion import promoted
from autopeft.study.rungs import shares_of
from autopeft.tabular.runs import Runs

RUNGS = ("1/16,1/4", "1/8,1/2", "1/8,1/4,1/2", "1/8", "1/4,1/2", "1/4", "1/2")
ETAS = (2, 3)  # in cohorts of 9, 4 promotes as many as 3
SEARCHES = 40  # random samples of the benchmark, the same ones for all rungs
TRIALS = 27  # configurations of each
ENOUGH = 0.98  # share of the hypervolume


class SuccessiveHalving:
    """The rungs of one search: remembers which configurations reached which, and promotes cohort by cohort.

    Args:
        runs: Of the benchmark.
        shares: The rungs as rising shares of the full length, up to 1.
        eta: At least one in `eta` of a cohort is promoted.
        signal: What configurations are compared by, beside the counted objectives.

    Attributes:
        spent: The training steps so far, in full-length runs.
    """

    def __init__(self, runs: Runs, shares: Sequence[Fraction], eta: int, signal: str = "validation_loss") -> None:
        self.spent = 0.0
        self._runs, self._eta, self._costs = runs, eta, runs.signals[signal]
        self._rungs = sorted({runs.rung(float(s)) for s in shares})
        self._reached: dict[int, list[int]] = {r: [] for r in self._rungs}

    def run(self, cohort: list[int]) -> list[int]:
        """Train a cohort rung by rung; return the members that reach the full length."""
        steps, before = self._runs.steps, 0
        for rung in self._rungs:
            self.spent += len(cohort) * (steps[rung] - before) / steps[-1]
            before, reached = steps[rung], self._reached[rung]
            reached.extend(cohort)
            if rung == self._rungs[-1]:
                return cohort
            points = self._runs.points(self._costs[:, rung])[reached]
            kept = promoted(points, range(len(reached) - len(cohort), len(reached)), self._eta)
            cohort = [reached[i] for i in kept]
        return cohort


def promotion_rows(runs: Runs, final: str = "validation_loss") -> list[dict[str, Any]]:
    """Compare rungs, etas and signals: steps spent and hypervolume kept in random searches of the benchmark.

    Args:
        runs: Of the benchmark.
        final: The signal at full length that picks the front of a search.

    Returns:
        One row per rungs, eta and signal. `spent`: share of the steps of all configurations at full length. `kept`:
        hypervolume of the front picked among those that reached the full length, over that of the front picked among
        all, with its 95 % interval (`low`, `high`). `at_least_98`: share of the searches that keep .98 of it.
    """
    signals = [s for s in runs.signals if s != "train_loss" or "validation_loss" not in runs.signals]
    rows = []
    for text in RUNGS:
        for eta in ETAS:
            for signal in signals:
                spent, kept = zip(*(one_search(runs, shares_of(text), eta, signal, final, s) for s in range(SEARCHES)))
                inside = over_seeds(np.array(kept))
                row: dict[str, Any] = {"rungs": text, "eta": eta, "signal": signal, "spent": float(np.mean(spent))}
                row |= {"kept": inside.mean, "low": inside.low, "high": inside.high}
                rows.append(row | {"at_least_98": float(np.mean(np.array(kept) >= ENOUGH))})
    return rows


def one_search(
    runs: Runs, shares: Sequence[Fraction], eta: int, signal: str, final: str, seed: int
) -> tuple[float, float]:
    """Run one random sample of the benchmark; return the share of the steps spent and of the hypervolume kept."""
    order = np.random.default_rng(seed).permutation(len(runs.keys))[:TRIALS].tolist()
    halving = SuccessiveHalving(runs, shares, eta, signal)
    survivors = [i for at in range(0, len(order), COHORT) for i in halving.run(order[at : at + COHORT])]
    whole, found = (runs.volume(chosen_front(runs, np.array(x, dtype=int), final)) for x in (order, survivors))
    return halving.spent / len(order), found / whole if whole else 1.0


def chosen_front(runs: Runs, found: NDArray[np.integer], signal: str | None = None) -> NDArray[np.integer]:
    """The non-dominated ones of the configurations found.

    Args:
        runs: Of the benchmark.
        found: Indices (F,).
        signal: What counts beside the counted objectives, at full length; the quality on the validation split if none
            is given.
    """
    points = runs.points(runs.validated if signal is None else runs.signals[signal][:, -1])[found]
    return found[non_dominated(points)] if len(found) else found
