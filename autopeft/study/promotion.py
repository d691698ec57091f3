"""Which trials of a cohort are promoted at a rung.

Successive halving that keeps the whole front alive (Schmucker et al. 2021, arXiv 2106.12639, selects by non-dominated
rank too): a trial is compared with every trial that ever reached the rung, of its own cohort or an earlier one.
"""

from collections.abc import Sequence
from math import ceil

import numpy as np
from numpy.typing import ArrayLike

from autopeft.base.errors import AutopeftError
from autopeft.base.pareto import ranks


def promoted(points: ArrayLike, cohort: Sequence[int], eta: int) -> list[int]:
    """Choose the trials of a cohort that go to the next rung.

    Args:
        points: costs (N, M) of every trial that reached the rung, the quality in the last column; a trial with a cost
            that is not finite is never promoted.
        cohort: the trials to decide on, indices into points.
        eta: of so many trials at least one is promoted.

    Returns:
        Indices: all that are on the front, and by rank as many as make up ceil(len(cohort) / eta); the best rank
        first, then the lower last cost.

    Raises:
        AutopeftError: eta is below 2.
    """
    if eta < 2:
        raise AutopeftError(f"eta is {eta}: give 2 or more, at least the share 1 / eta of a cohort is promoted.")
    points = np.asarray(points, dtype=float)
    finite = np.flatnonzero(np.isfinite(points).all(axis=1)) if len(points) else np.array([], dtype=int)
    rank = dict(zip(finite.tolist(), ranks(points[finite]).tolist()))
    order = sorted((i for i in cohort if i in rank), key=lambda i: (rank[i], points[i, -1], *points[i, :-1]))
    least = ceil(len(cohort) / eta)
    return [i for place, i in enumerate(order) if rank[i] == 0 or place < least]
