"""StudyResult -> Front: the answer, its best and knee, and whether it beats uniform LoRA. Imports no torch."""

from dataclasses import dataclass
from math import log10

import numpy as np

from autopeft.base.pareto import knee, non_dominated
from autopeft.configuration import Configuration
from autopeft.front.intervals import Interval, difference, judgement, over_seeds
from autopeft.study.records import Outcome, StudyResult, TrialRecord


@dataclass(frozen=True)
class FrontPoint:
    """One point of parameters against score. seeds is 0 for a proxy run (validation), else the full-length runs (test)."""

    name: str
    role: str  # "finalist" | "baseline" | "ceiling" | "trial"
    configuration: Configuration
    trainable: int  # without the task head
    percent: float  # of the backbone
    score: Interval
    validation: float  # mean validation score
    seeds: int


@dataclass(frozen=True)
class Front:
    """The non-dominated points, by parameters. `measured` says on which split and at which length."""

    points: tuple[FrontPoint, ...]
    measured: str

    def best(self, budget: int | None = None) -> FrontPoint | None:
        """The member with the best validation score and at most `budget` parameters; None if no member is that small."""
        within = [p for p in self.points if budget is None or p.trainable <= budget]
        return max(within, key=lambda p: p.validation, default=None)

    @property
    def knee(self) -> FrontPoint | None:
        """Where more parameters stop paying: farthest from the line between the ends (log parameters, score)."""
        if not self.points:
            return None
        return self.points[knee(np.array([[log10(max(1, p.trainable)), -p.score.mean] for p in self.points]))]


@dataclass(frozen=True)
class Verdict:
    """The best configuration against uniform LoRA and the ceiling, in one sentence and in numbers."""

    sentence: str
    best: FrontPoint | None = None
    against: str | None = None
    gap: Interval | None = None
    judgement: str | None = None  # "better" | "worse" | "within noise"


def point_of(outcome: Outcome, result: StudyResult) -> FrontPoint:
    """A full-length outcome as a point: test score over seeds."""
    validation = float(np.mean([c.validation_score[-1] for c in outcome.curves]))
    return FrontPoint(
        outcome.name,
        outcome.role,
        outcome.configuration,
        outcome.trainable,
        result.percent(outcome.trainable),
        over_seeds(outcome.test_scores),
        validation,
        len(outcome.curves),
    )


def point_of_trial(trial: TrialRecord, result: StudyResult) -> FrontPoint:
    """A proxy run as a point: validation score of one seed."""
    return FrontPoint(
        f"trial {trial.number}",
        "trial",
        trial.configuration,
        trial.trainable,
        result.percent(trial.trainable),
        over_seeds([trial.score]),
        trial.score,
        0,
    )


def candidates(result: StudyResult) -> list[FrontPoint]:
    """What may be on the front: finalists and baselines within the budget; without finalists, the proxy runs."""
    points = [point_of(o, result) for o in result.outcomes if o.role != "ceiling"]
    if not any(p.role == "finalist" for p in points):
        points = [point_of_trial(t, result) for t in result.complete]
    return [p for p in points if result.budget is None or p.trainable <= result.budget]


def front_of(result: StudyResult) -> Front:
    """The Pareto front of trainable parameters (down) against mean score (up)."""
    points = candidates(result)
    if not points:
        return Front((), "nothing measured yet")
    keep = non_dominated(np.array([[p.trainable, -p.score.mean] for p in points]))
    members = sorted((p for p, kept in zip(points, keep) if kept), key=lambda p: p.trainable)
    measured = "test split, full length" if members[0].seeds else "validation split, proxy runs"
    return Front(tuple(members), measured)


def verdict(result: StudyResult) -> Verdict:
    """Does the best finalist beat uniform LoRA at the budget, by how much, and is that noise?

    The best is chosen by validation score, so that its test score is not the luckiest of several.
    """
    outcomes = {o.name: o for o in result.outcomes}
    found = [p for p in candidates(result) if p.role == "finalist"]
    if not found:
        return Verdict("No finalist has been trained at full length yet, so nothing can be said against uniform LoRA.")
    best = max(found, key=lambda p: p.validation)
    sentence = (
        f"The best configuration by validation, {best.name} ({best.configuration}), reaches a test "
        f"{result.task['metric']} of {best.score.mean:.4f} with {best.trainable:,} trainable parameters "
        f"({best.percent:.3f} %)"
    )
    if (uniform := outcomes.get("uniform LoRA")) is None:
        return Verdict(f"{sentence}; uniform LoRA has not been trained yet.", best)
    gap = difference(outcomes[best.name].test_scores, uniform.test_scores)
    word = judgement(gap)
    says = {"better": "beats", "worse": "does not beat", "within noise": "is within noise of"}[word]
    share = 0 <= best.score.mean <= 1
    sentence += f": it {says} uniform LoRA with {uniform.trainable:,} ({points(gap, share)})"
    for other in (o for o in result.outcomes if o.role == "ceiling" or o.name == "doing nothing"):
        apart = difference(outcomes[best.name].test_scores, other.test_scores)
        mean = over_seeds(other.test_scores).mean
        sentence += f", and {in_points(apart.mean, share)} from {other.name} ({mean:.4f})"
    if (chosen := front_of(result).best()).name != best.name:
        kind = "a baseline, " if chosen.role == "baseline" else ""
        sentence += f". The front's own best is {kind}{chosen.name} ({chosen.score.mean:.4f})"
    return Verdict(sentence + ".", best, "uniform LoRA", gap, word)


def points(gap: Interval, share: bool = True) -> str:
    """A difference of scores with its interval if there is one; in points where the score is a share."""
    low, high = (f"{100 * x:+.1f}" if share else f"{x:+.4f}" for x in (gap.low, gap.high))
    interval = f"95 % interval {low} to {high}" if gap.half == gap.half else "one seed: no interval"
    return f"{in_points(gap.mean, share)}, {interval}"


def in_points(difference: float, share: bool) -> str:
    """+0.012 -> "+1.2 points" of a share, "+0.0120" of a log-likelihood."""
    return f"{100 * difference:+.1f} points" if share else f"{difference:+.4f}"
