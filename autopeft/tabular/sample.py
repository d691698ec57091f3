"""SearchSpace -> a spread sample of its configurations, every method alike. Imports no torch."""

from collections import Counter

import numpy as np

from autopeft.configuration import Configuration, Scalar
from autopeft.space import SearchSpace
from autopeft.space.anchor import RATE

RATE_SPREAD = 0.25  # standard deviation of a learning rate, as a share of its range's logarithm: good and bad ones
FEWEST = 2  # learning rates of a method that has one discrete configuration


class Spread:
    """A Chooser that takes, of the values that still meet the budget, one that was taken least often so far."""

    def __init__(self, method: str, seed: int):
        self._method = method
        self._taken: dict[str, Counter] = {}
        self._generator = np.random.default_rng(seed)

    def choice(self, name: str, choices: tuple, allowed: tuple, weights: dict | None = None) -> Scalar:
        if name == "method":
            return self._method
        taken = self._taken.setdefault(name, Counter())
        fewest = min(taken[v] for v in allowed)
        value = [v for v in allowed if taken[v] == fewest][
            self._generator.integers(sum(taken[v] == fewest for v in allowed))
        ]
        taken[value] += 1
        return value

    def log_uniform(self, name: str, low: float, high: float) -> float:
        return float(low * (high / low) ** np.clip(self._generator.normal(RATE, RATE_SPREAD), 0, 1))


def spread_sample(space: SearchSpace, size: int, seed: int = 0) -> list[Configuration]:
    """About `size` different configurations, the methods in turn, in an order of which any beginning is spread too."""
    branches = space.affordable()
    choosers = {b.name: Spread(b.name, seed + i) for i, b in enumerate(branches)}
    limits = {b.name: FEWEST if b.configurations * space.trainings(b) == 1 else size for b in branches}
    found: dict[str, dict[Configuration, None]] = {b.name: {} for b in branches}
    tries = 0
    while sum(map(len, found.values())) < size and tries < 20 * size:
        for name, chooser in choosers.items():
            if len(found[name]) < limits[name] and sum(map(len, found.values())) < size:
                found[name].setdefault(space.walk(chooser))
            tries += 1
    turns = max(map(len, found.values()))
    columns = [list(c) for c in found.values()]
    return [column[turn] for turn in range(turns) for column in columns if turn < len(column)]
