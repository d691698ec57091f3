"""What a study knows of itself, read back from its folder: trials, outcomes, data, sizes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from autopeft.backbone.shapes import BackboneShapes
from autopeft.base.recipe import OBJECTIVES
from autopeft.configuration import Configuration
from autopeft.importance.scores import LayerScores
from autopeft.objectives import Objective, Objectives, Scored
from autopeft.proxy.curve import Curve
from autopeft.tasks.unit_scores import UnitScores


@dataclass(frozen=True)
class TrialRecord:
    """One trial of the search: a configuration trained to the end, or to the rung where it was pruned.

    Attributes:
        number: of the Optuna trial.
        state: "complete", "pruned", "failed", "over_limit", "running" or "interrupted".
        trainable: parameters without the task head.
        counted: the objectives and limits that are known before training, by name.
        reason: why it failed.
    """

    number: int
    state: str
    configuration: Configuration | None
    trainable: int | None
    curve: Curve | None = None
    reason: str | None = None
    counted: Mapping[str, float] = field(default_factory=dict)

    @property
    def loss(self) -> float | None:
        """Validation loss where the run ended."""
        return self.curve.loss if self.curve else None


@dataclass(frozen=True)
class Outcome:
    """A configuration trained at full length with one seed or more, each run evaluated once on the test split.

    Attributes:
        name: "trial 7", "linear probe", "the usual guess", "uniform LoRA", "full fine-tuning".
        role: "finalist", "baseline" or "ceiling".
        trainable: parameters without the task head.
        curves: one per seed, each with its test score.
        counted: the objectives and limits that are known before training, by name.
    """

    name: str
    role: str
    configuration: Configuration
    trainable: int
    curves: tuple[Curve, ...]
    counted: Mapping[str, float] = field(default_factory=dict)

    def over_seeds(self, objective: Objective, split: str = "test") -> tuple[float, ...]:
        """An objective's value of each seed, on the test or the validation split where it is scored on one."""
        runs = (objective.reported(self.counted, curve, split) for curve in self.curves)
        return tuple(value for value in runs if value is not None)

    def runs(self, objective: Scored, split: str) -> dict[int, tuple[float, UnitScores | None]]:
        """Seed -> a quality's value on the validation or the test split, with its units where they were kept."""
        found = {}
        for curve in self.curves:
            value = objective.reported(self.counted, curve, split)
            text = curve.test_units if split == "test" else curve.validation_units
            if value is not None:
                found[curve.seed] = (value, UnitScores.from_text(text) if text else None)
        return found

    @property
    def test_scores(self) -> tuple[float, ...]:
        """The metric on the test split, one value per seed."""
        return tuple(c.test_score for c in self.curves if c.test_score is not None)


@dataclass(frozen=True)
class StudyResult:
    """Everything the front, the report and the export read.

    Attributes:
        spec: the study's YAML, defaults filled in: model, data, space, budget, seed ...
        task: `Task.summary()`.
        budget: the largest number of trainable parameters allowed, None if unlimited.
        configurations: size of the discrete search space.
        outcomes: finalists, baselines, ceiling.
        environment: versions, machine, precision, workers and packing and their timing, wall_seconds, started.
        limits: the largest value allowed of each limited objective, by name, the budget among them.
    """

    folder: str
    spec: dict[str, Any]
    task: dict[str, Any]
    shapes: BackboneShapes
    budget: int | None
    configurations: int
    scores: LayerScores | None
    trials: tuple[TrialRecord, ...]
    outcomes: tuple[Outcome, ...]
    environment: dict[str, Any]
    limits: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def objectives(self) -> Objectives:
        """What the study pursues."""
        return Objectives.of(self.spec.get("objectives", OBJECTIVES), self.task["metric"])

    @cached_property
    def complete(self) -> tuple[TrialRecord, ...]:
        """The trials that were trained to the end and have a value of every objective."""
        return tuple(t for t in self.trials if t.state == "complete" and self.objectives.values(t) is not None)

    def percent(self, trainable: int) -> float:
        """Trainable parameters as a percentage of the backbone's (the head left out of both)."""
        return 100 * trainable / self.shapes.backbone_parameters
