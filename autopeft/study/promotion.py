"""Points of a rung -> the trials of a cohort that go on to the next one. Imports no torch.

Successive halving that keeps the whole front alive (Schmucker et al. 2021, arXiv 2106.12639, selects by non-dominated
rank too): a trial is compared with every trial that ever reached the rung, of its own cohort or an earlier one.
"""

from collections.abc import Sequence
from math import ceil

import numpy as np

from autopeft.base.errors import AutopeftError
from autopeft.base.pareto import ranks


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
