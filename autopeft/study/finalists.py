"""Trials -> the finalists: the members of the short runs' front that are trained at full length."""

from collections.abc import Collection, Iterable

import numpy as np

from autopeft.base.pareto import contributions, non_dominated
from autopeft.objectives import Objectives
from autopeft.study.candidates import USUAL_GUESS, Candidate, parts
from autopeft.study.records import TrialRecord


def finalists(
    trials: Iterable[TrialRecord], objectives: Objectives, limit: int, baselines: Collection[Candidate] = ()
) -> list[TrialRecord]:
    """Choose the finalists: the front of the costs by which rungs compare, with the validation loss as the quality.

    Args:
        trials: of any state; only complete ones with finite costs are chosen.
        objectives: the study's.
        limit: at most so many.
        baselines: what is trained anyway; a trial that differs from one in nothing but the tuned rate is not chosen.

    Returns:
        By parameters. Where the front is larger than the limit, the best in each objective stay (the quality first),
        then those that add the most hypervolume.
    """
    done = [t for t in trials if t.state == "complete" and t.curve]
    costs = np.array([objectives.rung_costs(t, -1) for t in done], dtype=float).reshape(len(done), len(objectives))
    finite = np.isfinite(costs).all(axis=1)
    done, costs = [t for t, ok in zip(done, finite) if ok], costs[finite]
    front = np.flatnonzero(non_dominated(costs))
    known = {parts(b.configuration) for b in baselines if b.name != USUAL_GUESS}
    made = [done[i].configuration for i in front]
    new = np.array([c is not None and parts(c) not in known for c in made], dtype=bool)
    if new.sum() > limit:
        points = costs[front]
        gains = contributions(points, points.max(axis=0) + 0.1 * np.ptp(points, axis=0))
        for place, column in enumerate(range(points.shape[1])):  # the last column, the quality, wins where they meet
            gains[points[:, column].argmin()] = 1e300 * 10.0**place
        front = front[new][np.argsort(-gains[new], kind="stable")[:limit]]
    else:
        front = front[new]
    return sorted((done[i] for i in front), key=lambda t: t.trainable or 0)
