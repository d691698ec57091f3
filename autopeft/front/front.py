"""StudyResult -> Front: the answer, its best and its knee."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from autopeft.base.pareto import knee, non_dominated
from autopeft.configuration import Configuration
from autopeft.front.intervals import Interval, estimate, over_seeds
from autopeft.objectives import Objective, Objectives, Scored
from autopeft.study.records import Outcome, StudyResult, TrialRecord

FULL_LENGTH = "full length, compared on the validation split, scores of the test split"


@dataclass(frozen=True)
class FrontPoint:
    """One configuration with what it comes to in every objective.

    Attributes:
        name: "trial 7", "uniform LoRA" ...
        role: "finalist", "baseline", "ceiling" or "trial".
        trainable: parameters without the task head.
        percent: of the backbone's parameters.
        values: objective -> what is reported, with its interval: of full-length runs on the test split, of a proxy run
            on the validation split.
        decides: objective -> the mean by which points are compared; never of the test split.
        quality: the objective that says how good a model is.
        seeds: how many full-length runs; 0 for a proxy run.
        counted: the objectives and limits that are known before training, by name.

    Example:
        >>> import autopeft
        >>> point = autopeft.Result.open("runs/small").best()  # the study of the example of `autopeft.search`
        >>> sorted(point.values), point.quality.name, point.score.mean == point.values["accuracy"].mean
        (['accuracy', 'parameters'], 'accuracy', True)
    """

    name: str
    role: str
    configuration: Configuration
    trainable: int
    percent: float
    values: Mapping[str, Interval]
    decides: Mapping[str, float]
    quality: Scored
    seeds: int
    counted: Mapping[str, float]

    @property
    def score(self) -> Interval:
        """The quality that is reported, with its interval."""
        return self.values[self.quality.name]

    @property
    def validation(self) -> float:
        """The mean of the quality on the validation split."""
        return self.decides[self.quality.name]

    def costs(self, objectives: Objectives) -> list[float]:
        """What it is compared by, as costs (M,), the quality's last."""
        return objectives.costs(self.decides)


@dataclass(frozen=True)
class Front:
    """The non-dominated points of a study by their validation scores, sorted by parameters.

    Members, best and knee are the same whatever the test split says: its scores are only reported.

    Attributes:
        measured: on which split and at which length.
        objectives: what the points are compared on.

    Example:
        >>> import autopeft
        >>> front = autopeft.Result.open("runs/small").front  # the study of the example of `autopeft.search`
        >>> front.measured, front.best() in front.points, front.knee in front.points
        ('full length, compared on the validation split, scores of the test split', True, True)
    """

    points: tuple[FrontPoint, ...]
    measured: str
    objectives: Objectives

    def best_first(self) -> list[FrontPoint]:
        """The points by their quality on the validation split."""
        quality = self.objectives.quality
        return sorted(self.points, key=lambda p: quality.cost(p.validation))

    def best(self, budget: int | None = None) -> FrontPoint | None:
        """The member with the best quality on the validation split.

        Args:
            budget: the most trainable parameters it may have.

        Returns:
            The member, None if no member is that small.
        """
        within = [p for p in self.points if budget is None or p.trainable <= budget]
        return min(within, key=lambda p: self.objectives.quality.cost(p.validation), default=None)

    @property
    def knee(self) -> FrontPoint | None:
        """Where paying more stops paying off."""
        if not self.points:
            return None
        return self.points[knee([p.costs(self.objectives) for p in self.points])]


def point_of(outcome: Outcome, result: StudyResult) -> FrontPoint:
    """A full-length outcome as a point: compared on the validation split, reported on the test split."""
    objectives = result.objectives
    return FrontPoint(
        outcome.name,
        outcome.role,
        outcome.configuration,
        outcome.trainable,
        result.percent(outcome.trainable),
        {o.name: reported(outcome, o, objectives.quality) for o in objectives},
        {o.name: float(np.mean(outcome.over_seeds(o, "validation"))) for o in objectives},
        objectives.quality,
        len(outcome.curves),
        outcome.counted,
    )


def reported(outcome: Outcome, objective: Objective, quality: Scored) -> Interval:
    """An objective's value over seeds; of the quality over seeds and rows."""
    if objective is quality:
        return estimate(outcome.runs(quality, "test"))
    return over_seeds(outcome.over_seeds(objective))


def point_of_trial(trial: TrialRecord, result: StudyResult) -> FrontPoint:
    """A complete proxy run as a point: values on the validation split of one seed."""
    values, quality = result.objectives.values(trial), result.objectives.quality
    assert values is not None and trial.configuration is not None and trial.trainable is not None
    return FrontPoint(
        f"trial {trial.number}",
        "trial",
        trial.configuration,
        trial.trainable,
        result.percent(trial.trainable),
        {name: over_seeds([value]) for name, value in values.items()},
        values,
        quality,
        0,
        trial.counted,
    )


def measured_in_full(outcome: Outcome, objectives: Objectives) -> bool:
    """Whether an outcome has a value of every objective."""
    return all(outcome.over_seeds(o) for o in objectives)


def eligible(result: StudyResult) -> list[FrontPoint]:
    """What may be on the front: finalists and baselines within the limits; without finalists, the proxy runs."""
    outcomes = [o for o in result.outcomes if o.role != "ceiling" and measured_in_full(o, result.objectives)]
    points = [point_of(o, result) for o in outcomes]
    if not any(p.role == "finalist" for p in points):
        points = [point_of_trial(t, result) for t in result.complete]
    return [p for p in points if all(p.counted.get(name, 0) <= most for name, most in result.limits.items())]


def front_of(result: StudyResult) -> Front:
    """The Pareto front over the study's objectives, by validation."""
    points, objectives = eligible(result), result.objectives
    if not points:
        return Front((), "nothing measured yet", objectives)
    keep = non_dominated([p.costs(objectives) for p in points])
    members = sorted((p for p, kept in zip(points, keep) if kept), key=lambda p: p.trainable)
    measured = FULL_LENGTH if members[0].seeds else "validation split, proxy runs"
    return Front(tuple(members), measured, objectives)
