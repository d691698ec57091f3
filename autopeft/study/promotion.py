"""Points of a rung -> the trials of a cohort that go on to the next one. Imports no torch.

Successive halving that keeps the whole front alive (Schmucker et al. 2021, arXiv 2106.12639, selects by non-dominated
rank too): a trial is compared with every trial that ever reached the rung, of its own cohort or an earlier one.
"""

from collections.abc import Sequence
from math import ceil

import numpy as np

from autopeft.errors import AutopeftError

COHORT = 9  # trials that are decided on together


def promoted(points: np.ndarray, cohort: Sequence[int], eta: int) -> list[int]:
    """(N, 2) of [parameters, loss], indices -> the indices that go on, the best rank first, then the lower loss.

    points: every trial that reached the rung; cohort: the trials to decide on, indices into points.
    All on the front go on; ranks fill up to ceil(len(cohort) / eta). A loss that is not finite never goes on.
    Raises AutopeftError when eta is below 2.
    """
    if eta < 2:
        raise AutopeftError(f"eta is {eta}: give 2 or more, the share 1 / eta of a cohort that goes on at least.")
    points = np.asarray(points, dtype=float).reshape(-1, 2)
    finite = np.flatnonzero(np.isfinite(points).all(axis=1))
    rank = dict(zip(finite.tolist(), ranks(points[finite]).tolist()))
    order = sorted((i for i in cohort if i in rank), key=lambda i: (rank[i], points[i, 1], points[i, 0]))
    least = ceil(len(cohort) / eta)
    return [i for place, i in enumerate(order) if rank[i] == 0 or place < least]


def ranks(points: np.ndarray) -> np.ndarray:
    """(N, M) -> (N,): 0 for the front, 1 for the front of the rest, and so on (equal points share a rank)."""
    points = np.asarray(points, dtype=float)
    one, other = points[:, None], points[None]
    dominates = (one <= other).all(axis=2) & (one < other).any(axis=2)
    found = np.full(len(points), -1)
    rank = 0
    while (left := found < 0).any():
        found[left & ~dominates[left].any(axis=0)] = rank
        rank += 1
    return found
