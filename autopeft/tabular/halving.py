"""Runs + a ladder of rungs -> what front-preserving halving would spend and keep. Imports no torch."""

from itertools import pairwise

import numpy as np

from autopeft.base.errors import AutopeftError
from autopeft.base.pareto import non_dominated
from autopeft.base.recipe import COHORT
from autopeft.front.intervals import over_seeds
from autopeft.study.promotion import promoted
from autopeft.tabular.runs import Runs

LADDERS = ("1/16,1/4,1", "1/8,1/2,1", "1/8,1/4,1/2,1", "1/8,1", "1/4,1/2,1", "1/4,1", "1/2,1")
ETAS = (2, 3)  # in cohorts of 9, 4 promotes as many as 3
SEARCHES = 40  # random samples of the table, the same ones for every ladder
TRIALS = 27  # configurations of each


def ladder_of(text: str) -> tuple[float, ...]:
    """ "1/8,1/2,1" -> (0.125, 0.5, 1.0). Raises AutopeftError unless the shares rise to 1."""
    try:
        parts = [[float(x) for x in part.split("/")] for part in text.split(",")]
        shares = tuple(p[0] / p[1] if len(p) == 2 else p[0] for p in parts)
    except (ValueError, ZeroDivisionError):
        shares = ()
    if not shares or shares[-1] != 1 or shares[0] <= 0 or any(a >= b for a, b in pairwise(shares)):
        raise AutopeftError(f"The rungs '{text}' are not rising shares of the full length up to 1: write 1/8,1/2,1.")
    return shares


class Ladder:
    """The rungs of one search over a table: it remembers who reached which, and promotes cohort by cohort."""

    def __init__(self, runs: Runs, shares: tuple[float, ...], eta: int, signal: str = "validation_loss"):
        self._runs, self._eta, self._costs = runs, eta, runs.signals[signal]
        self._rungs = sorted({runs.rung(s) for s in shares})
        self._reached: dict[int, list[int]] = {r: [] for r in self._rungs}
        self.spent = 0.0  # training steps, in full-length runs

    def climb(self, cohort: list[int]) -> list[int]:
        """The members of a cohort that reach the full length."""
        steps, before = self._runs.steps, 0
        for rung in self._rungs:
            self.spent += len(cohort) * (steps[rung] - before) / steps[-1]
            before, reached = steps[rung], self._reached[rung]
            reached.extend(cohort)
            if rung == self._rungs[-1]:
                return cohort
            points = np.column_stack([self._runs.parameters, self._costs[:, rung]])[reached]
            go_on = promoted(points, range(len(reached) - len(cohort), len(reached)), self._eta)
            cohort = [reached[i] for i in go_on]
        return cohort


def promotion_rows(runs: Runs, final: str = "validation_loss") -> list[dict]:
    """One row per ladder, eta and signal: steps spent (share of full length for all) and hypervolume kept.

    Kept: the truth of the front that the final signal picks among the survivors of a search, over that of the front
    that it picks among all of the search's configurations; `at_least_98` is the share of searches that keep .98.
    """
    rows = []
    for text in LADDERS:
        for eta in ETAS:
            for signal in (s for s in runs.signals if s != "train_loss" or "validation_loss" not in runs.signals):
                spent, kept = zip(*(one_search(runs, ladder_of(text), eta, signal, final, s) for s in range(SEARCHES)))
                inside = over_seeds(np.array(kept))
                cost = {"rungs": text, "eta": eta, "signal": signal, "spent": float(np.mean(spent))}
                enough = {"at_least_98": float(np.mean(np.array(kept) >= 0.98))}
                rows.append({**cost, "kept": inside.mean, "low": inside.low, "high": inside.high, **enough})
    return rows


def one_search(runs: Runs, shares, eta: int, signal: str, final: str, seed: int) -> tuple[float, float]:
    """(share of the steps spent, hypervolume kept) of one random sample of the table."""
    order = np.random.default_rng(seed).permutation(len(runs.keys))[:TRIALS].tolist()
    ladder = Ladder(runs, shares, eta, signal)
    survivors = [i for at in range(0, len(order), COHORT) for i in ladder.climb(order[at : at + COHORT])]
    whole, found = (runs.volume(chosen_front(runs, np.array(x, dtype=int), final)) for x in (order, survivors))
    return ladder.spent / len(order), found / whole if whole else 1.0


def chosen_front(runs: Runs, found: np.ndarray, signal: str = "validation_score") -> np.ndarray:
    """Of the configurations found, those on the front of (parameters, the signal at full length)."""
    points = np.column_stack([runs.parameters, runs.signals[signal][:, -1]])[found]
    return found[non_dominated(points)] if len(found) else found
