"""Curve: what one training run measured."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace

from autopeft.base.checked import checked

OPTIONAL = ("validation_units", "test_units", "best_step")
POINTS = ("steps", "train_loss", "validation_loss", "validation_score")


@dataclass(frozen=True)
class Curve:
    """Losses and scores along one run of one configuration with one seed.

    Attributes:
        seed: of the run.
        steps: after which the validation split was evaluated.
        train_loss: the mean since the evaluation before, one value per evaluation.
        validation_loss: one value per evaluation.
        validation_score: the task's metric, one value per evaluation.
        seconds: wall time of the run.
        peak_memory_bytes: of the device on CUDA, of the process on a CPU.
        test_score: the task's metric on the test split, of finalists and baselines only.
        test_loss: the loss on the test split, of finalists and baselines only.
        validation_units: `UnitScores` of the study's quality on the validation split at the point that counts, as text;
            of finalists and baselines only.
        test_units: the same on the test split.
        measured: the objectives that were measured on the machine, by name.
        best_step: of a run that could end early, the step of the lowest validation loss, whose weights count; None of
            others, which count as they end.
    """

    seed: int
    steps: tuple[int, ...]
    train_loss: tuple[float, ...]
    validation_loss: tuple[float, ...]
    validation_score: tuple[float, ...]
    seconds: float
    peak_memory_bytes: int
    test_score: float | None = None
    test_loss: float | None = None
    validation_units: str | None = None
    test_units: str | None = None
    measured: Mapping[str, float] = field(default_factory=dict)
    best_step: int | None = None

    @property
    def result(self) -> int:
        """The index of the evaluation that counts."""
        return len(self.steps) - 1 if self.best_step is None else self.steps.index(self.best_step)

    @property
    def loss(self) -> float:
        """The validation loss that counts."""
        return self.validation_loss[self.result]

    def then(self, later: "Curve") -> "Curve":
        """The curve of this part of a run and of the part that was resumed from its end."""
        joined = {k: getattr(self, k) + getattr(later, k) for k in (*POINTS, "seconds")}
        return replace(
            later,
            **joined,
            peak_memory_bytes=max(self.peak_memory_bytes, later.peak_memory_bytes),
            measured={**later.measured, **self.measured},
        )

    def at(self, step: int) -> int | None:
        """The index of the evaluation after a step, None if there is none."""
        return self.steps.index(step) if step in self.steps else None

    def to_json(self) -> dict:
        """The fields as JSON-ready values; what a run does not have is left out."""
        return {k: v for k, v in asdict(self).items() if v is not None or k not in OPTIONAL}

    @classmethod
    def from_json(cls, data: dict) -> "Curve":
        """The curve that `to_json` wrote. Raises ValueError for anything else."""
        made = checked(cls, data)
        points = {len(getattr(made, name)) for name in POINTS}
        if len(points) > 1 or 0 in points or made.best_step not in (None, *made.steps):
            raise ValueError("no curve has these points")
        return made
