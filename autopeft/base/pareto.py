"""Points -> non-dominated points, hypervolume, knee. Every objective is minimised. Imports no torch."""

import numpy as np


def non_dominated(points: np.ndarray) -> np.ndarray:
    """(N, M) -> mask (N,): no other point is as good everywhere and better somewhere; of equal points the first stays."""
    points = np.asarray(points, dtype=float)
    keep = np.ones(len(points), dtype=bool)
    for i, point in enumerate(points):
        as_good, better = (points <= point).all(axis=1), (points < point).any(axis=1)
        earlier_twin = (points[:i] == point).all(axis=1).any()
        keep[i] = not (as_good & better).any() and not earlier_twin
    return keep


def hypervolume(points: np.ndarray, reference: np.ndarray) -> float:
    """The area (M = 2) that the points dominate below the reference; points beyond it add nothing."""
    points, reference = np.asarray(points, dtype=float).reshape(-1, 2), np.asarray(reference, dtype=float)
    inside = points[(points < reference).all(axis=1)]
    front = inside[non_dominated(inside)]
    front = front[np.argsort(front[:, 0])]
    right = np.append(front[1:, 0], reference[0])
    return float(((right - front[:, 0]) * (reference[1] - front[:, 1])).sum())


def contributions(points: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """(N, 2) -> (N,): the hypervolume that each point alone adds."""
    points = np.asarray(points, dtype=float)
    whole = hypervolume(points, reference)
    return np.array([whole - hypervolume(np.delete(points, i, axis=0), reference) for i in range(len(points))])


def knee(points: np.ndarray) -> int:
    """(N, 2) of a front -> the index of the point farthest below the line between the two ends, scaled to a unit square."""
    points = np.asarray(points, dtype=float)
    span = np.ptp(points, axis=0)
    if len(points) < 3 or (span == 0).any():
        return int(np.argmin(points[:, 1]))
    unit = (points - points.min(axis=0)) / span
    return int(np.argmin(unit.sum(axis=1)))


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
