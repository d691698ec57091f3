"""Draws of what configurations gain -> which of them adds most to the hypervolume of a front.

The cost of a configuration is known, so the front is read at places along the logarithm of the cost: the hypervolume is the
mean over them of the best gain that costs no more.
"""

import numpy as np
from numpy.typing import NDArray

PLACES = 61

Floats = NDArray[np.float64]


class Fronts:
    """The front of each draw, to which configurations are added.

    Args:
        draws: (K, N) the gain of each configuration in each draw.
        costs: (N,) logarithms of their costs.
        least: the lowest cost that counts.
        most: the highest, at which the hypervolume ends.
    """

    def __init__(self, draws: Floats, costs: Floats, least: float, most: float) -> None:
        self._draws, self._within = draws, costs[:, None] <= np.linspace(least, most, PLACES)
        self._best = np.zeros((len(draws), PLACES))

    def improvements(self) -> Floats:
        """(N,) What each configuration would add to the mean hypervolume."""
        gained = (
            np.maximum(self._draws[:, [i]] - self._best, 0).sum(axis=0) @ within
            for i, within in enumerate(self._within)
        )
        return np.fromiter(gained, float, len(self._within)) / self._best.size

    def add(self, number: int) -> None:
        """Put a configuration into every front."""
        self._best = np.maximum(self._best, np.where(self._within[number], self._draws[:, [number]], 0.0))


def greedy(fronts: Fronts, number: int, most: int) -> list[int]:
    """The order in which configurations add most, each to those before it.

    Args:
        fronts: as they are before.
        number: of configurations that may be chosen, the first of all.
        most: how many are wanted at most.
    """
    chosen: list[int] = []
    while len(chosen) < min(most, number):
        added = fronts.improvements()[:number]
        added[chosen] = -1.0
        chosen.append(int(added.argmax()))
        fronts.add(chosen[-1])
    return chosen
