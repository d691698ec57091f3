"""Pareto arithmetic in any number of dimensions: every column of the points is a cost, lower is better."""

from bisect import bisect_right

import numpy as np
from numpy.typing import ArrayLike


def non_dominated(points: ArrayLike) -> np.ndarray:
    """Find the points that no other dominates: none is as good in every column and better in one.

    Args:
        points: costs (N, M).

    Returns:
        A mask (N,). Of equal points the first one stays.
    """
    points = np.asarray(points, dtype=float)
    if points.ndim == 2 and points.shape[1] == 2:
        first = np.zeros(len(points), dtype=bool)
        first[np.unique(points, axis=0, return_index=True)[1]] = True
        return first & (ranks_in_two(points) == 0)
    keep = np.ones(len(points), dtype=bool)
    for i, point in enumerate(points):
        as_good, better = (points <= point).all(axis=1), (points < point).any(axis=1)
        earlier_twin = (points[:i] == point).all(axis=1).any()
        keep[i] = not (as_good & better).any() and not earlier_twin
    return keep


def ranks(points: ArrayLike) -> np.ndarray:
    """Non-dominated ranks: 0 for the front, 1 for the front of the rest, and so on.

    Args:
        points: costs (N, M).

    Returns:
        Ranks (N,). Equal points share a rank.
    """
    points = np.asarray(points, dtype=float)
    if points.ndim == 2 and points.shape[1] == 2:
        return ranks_in_two(points)
    one, other = points[:, None], points[None]
    dominates = np.logical_and((one <= other).all(axis=2), (one < other).any(axis=2))
    found = np.full(len(points), -1)
    rank = 0
    while (left := found < 0).any():
        found[left & ~dominates[left].any(axis=0)] = rank
        rank += 1
    return found


def ranks_in_two(points: np.ndarray) -> np.ndarray:
    """The same of costs (N, 2), in the order of N log N: from left to right, below which fronts does a point lie?"""
    found, lowest = np.zeros(len(points), dtype=int), list[float]()  # of each front so far; they rise
    before: tuple[float, float] | None = None
    for i in np.lexsort((points[:, 1], points[:, 0])):
        point = float(points[i, 0]), float(points[i, 1])
        if point != before:
            rank = bisect_right(lowest, point[1])
            lowest[rank : rank + 1] = [point[1]]
        found[i], before = rank, point
    return found


def hypervolume(points: ArrayLike, reference: ArrayLike) -> float:
    """The volume that the points dominate below the reference point.

    Args:
        points: costs (N, M).
        reference: the corner (M,) where the volume ends; points beyond it add nothing.

    Returns:
        The volume, summed over slices between neighbouring values of the last objective.
    """
    reference = np.asarray(reference, dtype=float)
    points = np.asarray(points, dtype=float).reshape(-1, len(reference))
    inside = points[(points < reference).all(axis=1)]
    if not len(inside):
        return 0.0
    if len(reference) == 1:
        return float(reference[0] - inside.min())
    front = inside[non_dominated(inside)]
    front = front[np.argsort(front[:, -1], kind="stable")]
    thickness = np.diff(np.append(front[:, -1], reference[-1]))
    areas = [hypervolume(front[: i + 1, :-1], reference[:-1]) if t else 0.0 for i, t in enumerate(thickness)]
    return float(np.dot(areas, thickness))


def contributions(points: ArrayLike, reference: ArrayLike) -> np.ndarray:
    """The hypervolume that each point alone adds.

    Args:
        points: costs (N, M).
        reference: the corner (M,) where the volume ends.

    Returns:
        Volumes (N,).
    """
    points = np.asarray(points, dtype=float)
    whole = hypervolume(points, reference)
    return np.array([whole - hypervolume(np.delete(points, i, axis=0), reference) for i in range(len(points))])


def knee(points: ArrayLike) -> int:
    """The point of a front where giving up more of one cost stops paying in the others.

    Args:
        points: costs (N, M) of the members of a front, N > 0.

    Returns:
        The index of the point nearest to the best corner in the L1 norm, with every cost scaled to 0..1; of fewer than
        three points, or where a cost never varies, the one that is lowest in the last column.
    """
    points = np.asarray(points, dtype=float)
    span = np.ptp(points, axis=0)
    if len(points) < 3 or (span == 0).any():
        return int(np.argmin(points[:, -1]))
    unit = (points - points.min(axis=0)) / span
    return int(np.argmin(unit.sum(axis=1)))
