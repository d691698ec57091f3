"""What a study knows of itself, read back from its folder: trials, outcomes, data, sizes. Imports no torch."""

from dataclasses import dataclass
from functools import cached_property

from autopeft.backbone.shapes import BackboneShapes
from autopeft.configuration import Configuration
from autopeft.importance.scores import LayerScores
from autopeft.proxy.curve import Curve


@dataclass(frozen=True)
class TrialRecord:
    """One trial of the search: a configuration trained to the end, or to the rung where it was stopped."""

    number: int
    state: str  # "complete" | "pruned" | "failed" | "over_budget" | "running"
    configuration: Configuration | None
    trainable: int | None  # parameters without the task head
    curve: Curve | None = None
    reason: str | None = None  # why it failed

    @property
    def score(self) -> float | None:
        """Validation score where the run ended."""
        return self.curve.validation_score[-1] if self.curve else None

    @property
    def loss(self) -> float | None:
        return self.curve.validation_loss[-1] if self.curve else None


@dataclass(frozen=True)
class Outcome:
    """A configuration trained at full length with several seeds and evaluated once on the test split."""

    name: str  # "trial 7", "linear probe", "uniform LoRA", "LoRA r=8 q,v", "full fine-tuning"
    role: str  # "finalist" | "baseline" | "ceiling"
    configuration: Configuration
    trainable: int  # without the task head
    curves: tuple[Curve, ...]  # one per seed, each with its test_score

    @property
    def test_scores(self) -> tuple[float, ...]:
        return tuple(c.test_score for c in self.curves)

    def to_json(self) -> dict:
        return {
            "name": self.name,
            "role": self.role,
            "configuration": self.configuration.to_json(),
            "trainable": self.trainable,
            "curves": [c.to_json() for c in self.curves],
        }

    @classmethod
    def from_json(cls, data: dict) -> "Outcome":
        return cls(
            data["name"],
            data["role"],
            Configuration.from_json(data["configuration"]),
            data["trainable"],
            tuple(Curve.from_json(c) for c in data["curves"]),
        )


@dataclass(frozen=True)
class StudyResult:
    """Everything the front, the report and the export read."""

    folder: str
    spec: dict  # the study's YAML, defaults filled in: model, data, space, budget, seed ...
    task: dict  # Task.summary()
    shapes: BackboneShapes
    budget: int | None  # largest number of trainable parameters allowed, None if unlimited
    configurations: int  # size of the discrete search space
    scores: LayerScores | None
    trials: tuple[TrialRecord, ...]
    outcomes: tuple[Outcome, ...]  # finalists, baselines, ceiling
    environment: dict  # versions, machine, precision and its timing, wall_seconds, started

    @cached_property
    def complete(self) -> tuple[TrialRecord, ...]:
        return tuple(t for t in self.trials if t.state == "complete")

    def percent(self, trainable: int) -> float:
        """Trainable parameters as a percentage of the backbone's (the head left out of both)."""
        return 100 * trainable / self.shapes.backbone_parameters
