"""Trials -> the finalists: the members of the short runs' front that are trained at full length. Imports no torch."""

from math import isfinite, log10

import numpy as np

from autopeft.base.pareto import contributions, non_dominated
from autopeft.study.records import TrialRecord


def finalists(trials, limit: int) -> list[TrialRecord]:
    """The proxy front of (parameters, validation loss), at most `limit`.

    The best and the smallest stay, then by hypervolume. A loss that is not finite is out: nothing dominates a NaN.
    """
    done = [t for t in trials if t.state == "complete" and isfinite(t.loss)]
    if not done:
        return []
    points = np.array([[log10(max(1, t.trainable)), t.loss] for t in done])
    front = np.flatnonzero(non_dominated(points))
    if len(front) > limit:
        reference = points[front].max(axis=0) + 0.1 * np.ptp(points[front], axis=0)
        gains = contributions(points[front], reference)
        gains[[points[front][:, 1].argmin(), points[front][:, 0].argmin()]] = np.inf, 1e300
        front = front[np.argsort(-gains, kind="stable")[:limit]]
    return sorted((done[i] for i in front), key=lambda t: t.trainable)
