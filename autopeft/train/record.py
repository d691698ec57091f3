"""What a full training measured so far, which evaluation is the best, and when to stop."""

import csv
import io
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from autopeft.base.checked import checked


@dataclass(frozen=True)
class Evaluation:
    """One evaluation of the validation split.

    Attributes:
        step: Training steps so far.
        epoch: Passes over the training rows so far.
        learning_rate: Of the method's parameters, at the last step.
        train_loss: Mean over the steps since the last evaluation.
        validation_loss: Mean over the validation split.
        validation_score: The task's metric on it.
        seconds: Since the training began, whatever was lost to a kill aside.
    """

    step: int
    epoch: float
    learning_rate: float
    train_loss: float
    validation_loss: float
    validation_score: float
    seconds: float


@dataclass
class Record:
    """The evaluations of a training.

    Attributes:
        watch: What is compared, "score" or "loss".
        patience: Evaluations without a better one after which to stop; None trains to the end.
        evaluations: In the order of their steps.
        best: The best so far, the first of equals.
        waited: Evaluations since the best.
        peak_memory_bytes: Of the last sitting.
        resumed: The steps of the checkpoints from which the training was resumed.
    """

    watch: str = "score"
    patience: int | None = None
    evaluations: list[Evaluation] = field(default_factory=list)
    best: Evaluation | None = None
    waited: int = 0
    peak_memory_bytes: int = 0
    resumed: list[int] = field(default_factory=list)

    def add(self, evaluation: Evaluation) -> bool:
        """Keep an evaluation; return whether it is the best so far."""
        self.evaluations.append(evaluation)
        if better := self.best is None or self._worth(evaluation) > self._worth(self.best):
            self.best, self.waited = evaluation, 0
        else:
            self.waited += 1
        return better

    def _worth(self, evaluation: Evaluation) -> float:
        return evaluation.validation_score if self.watch == "score" else -evaluation.validation_loss

    @property
    def stopped(self) -> bool:
        """Whether the patience is spent."""
        return self.patience is not None and self.waited >= self.patience

    @property
    def kept(self) -> Evaluation:
        """The evaluation whose weights are saved: the best where patience is set, else the last."""
        return self.best if self.patience and self.best else self.evaluations[-1]

    @property
    def seconds(self) -> float:
        """Training time so far."""
        return self.evaluations[-1].seconds if self.evaluations else 0.0

    def csv(self) -> str:
        """The evaluations as CSV, one line each."""
        out = io.StringIO()
        writer = csv.DictWriter(out, [f.name for f in fields(Evaluation)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(map(asdict, self.evaluations))
        return out.getvalue()

    def facts(self) -> dict[str, Any]:
        """The fields of `Trained` that the training itself measured."""
        return {
            "validation_score": self.kept.validation_score,
            "validation_loss": self.kept.validation_loss,
            "kept_step": self.kept.step,
            "stopped_at": self.evaluations[-1].step,
            "seconds": self.seconds,
            "peak_memory_bytes": self.peak_memory_bytes,
            "resumed": tuple(self.resumed),
            "curve": tuple(self.evaluations),
        }

    def to_json(self) -> dict[str, Any]:
        """All fields, for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Record":
        """The inverse of `to_json`. Raises ValueError for anything else."""
        if unknown := data.keys() - {f.name for f in fields(cls)}:
            raise ValueError(f"a record has no {', '.join(sorted(unknown))}")
        return checked(cls, data)
