"""Trials -> the finalists: the members of the short runs' front that are trained at full length."""

from collections.abc import Iterable

import numpy as np

from autopeft.base.pareto import contributions, non_dominated
from autopeft.objectives import Objectives
from autopeft.study.records import TrialRecord


def finalists(trials: Iterable[TrialRecord], objectives: Objectives, limit: int) -> list[TrialRecord]:
    """Choose the finalists: the front of the costs by which rungs compare, with the validation loss as the quality.

    Args:
        trials: of any state; only complete ones with finite costs are chosen.
        objectives: the study's.
        limit: at most so many.

    Returns:
        By parameters. Where the front is larger than the limit, the best in each objective stay (the quality first),
        then those that add the most hypervolume.
    """
    done = [t for t in trials if t.state == "complete" and t.curve]
    costs = np.array([objectives.rung_costs(t, -1) for t in done], dtype=float).reshape(len(done), len(objectives))
    finite = np.isfinite(costs).all(axis=1)
    done, costs = [t for t, ok in zip(done, finite) if ok], costs[finite]
    front = np.flatnonzero(non_dominated(costs))
    if len(front) > limit:
        points = costs[front]
        gains = contributions(points, points.max(axis=0) + 0.1 * np.ptp(points, axis=0))
        for place, column in enumerate(range(points.shape[1])):  # the last column, the quality, wins where they meet
            gains[points[:, column].argmin()] = 1e300 * 10.0**place
        front = front[np.argsort(-gains, kind="stable")[:limit]]
    return sorted((done[i] for i in front), key=lambda t: t.trainable or 0)
