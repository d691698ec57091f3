"""A spread sample of a search space: every method alike, every value about as often as the others."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from autopeft.configuration import Configuration, Scalar
from autopeft.space import SearchSpace
from autopeft.space.default_configurations import RATE

RATE_SPREAD = 0.25  # standard deviation of a learning rate, as a share of its range's logarithm: good and bad ones
FEWEST = 2  # learning rates of a method that has one discrete configuration


class Spread:
    """Takes, of the values that still meet the budget, one that was taken least often so far.

    Args:
        method: The method of all its configurations.
        seed: Of the draws.
    """

    def __init__(self, method: str, seed: int) -> None:
        self._method = method
        self._taken: dict[str, Counter[Scalar]] = {}
        self._generator = np.random.default_rng(seed)

    def suggest_categorical(
        self, name: str, choices: tuple, allowed: tuple, weights: Mapping[Any, float] | None = None
    ) -> Scalar:
        """One of the allowed values that were taken least often."""
        if name == "method":
            return self._method
        taken = self._taken.setdefault(name, Counter())
        fewest = min(taken[v] for v in allowed)
        value = [v for v in allowed if taken[v] == fewest][
            self._generator.integers(sum(taken[v] == fewest for v in allowed))
        ]
        taken[value] += 1
        return value

    def suggest_float(self, name: str, low: float, high: float) -> float:
        """A number around the default learning rate, with a logarithm spread over the whole range."""
        return float(low * (high / low) ** np.clip(self._generator.normal(RATE, RATE_SPREAD), 0, 1))


def spread_sample(space: SearchSpace, size: int, seed: int = 0) -> list[Configuration]:
    """Draw about `size` different configurations, the methods in turn; any beginning of the list is spread too.

    Args:
        space: What is sampled.
        size: How many are wanted; a small space may have fewer.
        seed: Of the draws.
    """
    branches = space.affordable()
    spreads = {b.name: Spread(b.name, seed + i) for i, b in enumerate(branches)}
    limits = {b.name: FEWEST if b.configurations * space.trainings(b) == 1 else size for b in branches}
    found: dict[str, dict[Configuration, None]] = {b.name: {} for b in branches}
    tries = 0
    while sum(map(len, found.values())) < size and tries < 20 * size:
        for name, spread in spreads.items():
            if len(found[name]) < limits[name] and sum(map(len, found.values())) < size:
                found[name].setdefault(space.sample(spread))
            tries += 1
    turns = max(map(len, found.values()))
    columns = [list(c) for c in found.values()]
    return [column[turn] for turn in range(turns) for column in columns if turn < len(column)]
