"""Curve: what one training run measured."""

from dataclasses import asdict, dataclass, replace
from typing import Any

POINTS = ("steps", "train_loss", "validation_loss", "validation_score")


@dataclass(frozen=True)
class Curve:
    """Losses and scores along one run of one configuration with one seed.

    steps, validation_loss and validation_score have one value per evaluation; train_loss is the mean since the one
    before. test_score and test_loss are None unless the run was a finalist's or a baseline's.
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

    def then(self, later: "Curve") -> "Curve":
        """The curve of this part of a run and of the part that was resumed from its end."""
        joined = {k: getattr(self, k) + getattr(later, k) for k in (*POINTS, "seconds")}
        return replace(later, **joined, peak_memory_bytes=max(self.peak_memory_bytes, later.peak_memory_bytes))

    def at(self, step: int) -> int | None:
        """Where in the points a step stands, None if it was not reached."""
        return self.steps.index(step) if step in self.steps else None

    def to_json(self) -> dict:
        """The fields as JSON-ready values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict) -> "Curve":
        """The curve that `to_json` wrote."""
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
        return cls(**fields)
