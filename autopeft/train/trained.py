"""What a full training will be, and what it came to."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from autopeft.configuration import Configuration
from autopeft.train.record import Evaluation


@dataclass(frozen=True, kw_only=True)
class TrainingFacts:
    """What is trained and how.

    Attributes:
        name: Of the trial or finalist.
        configuration: What is trained.
        seed: Of the weights' start and of the order of rows.
        metric: The task's metric.
        folder: The adapter's folder.
        steps: Training steps.
        epochs: The same in passes over the training rows.
        batch_size: Rows of a step.
        accumulate: Passes in which a step's rows are taken.
        processes: How many train together.
        gradient_checkpointing: Whether blocks are computed again in the backward pass.
        schedule: The learning rate after its warm-up.
        warmup: The share of the steps in which it rises.
        quantize: "4bit" or "8bit" for a rounded backbone, else None.
        merged: The folder of the merged model, None without `merge`.
    """

    name: str
    configuration: Configuration
    seed: int
    metric: str
    folder: Path
    steps: int
    epochs: float
    batch_size: int
    accumulate: int
    processes: int
    gradient_checkpointing: bool
    schedule: str
    warmup: float
    quantize: str | None
    merged: Path | None

    def to_json(self) -> dict[str, Any]:
        """All fields, as what JSON can hold."""
        return {f.name: as_json(getattr(self, f.name)) for f in fields(self)}


@dataclass(frozen=True, kw_only=True)
class PlannedTraining(TrainingFacts):
    """What a dry run says.

    Attributes:
        evaluations: How often the validation split will be scored.
        checkpoints: How many checkpoints will be written.
        resumes: Whether an unfinished training would be resumed.
        seconds: About how long it takes; None where the search never trained this configuration.
        files: What will be in the folder.
    """

    evaluations: int
    checkpoints: int
    resumes: bool
    seconds: float | None
    files: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Trained(TrainingFacts):
    """What a full training came to; scores.json holds the same.

    Attributes:
        validation_score: The metric on the validation split, with the weights that were kept.
        validation_loss: The loss on it.
        kept_step: The step whose weights were kept.
        stopped_at: The last step that was trained.
        seconds: Training time.
        peak_memory_bytes: Of the last sitting.
        resumed: The steps of the checkpoints from which the training was resumed.
        curve: Every evaluation.
        test_loss: The loss of the saved adapter, loaded anew, on the test split.
        test_score: Its metric there.
    """

    validation_score: float
    validation_loss: float
    kept_step: int
    stopped_at: int
    seconds: float
    peak_memory_bytes: int
    resumed: tuple[int, ...]
    curve: tuple[Evaluation, ...]
    test_loss: float
    test_score: float


def as_json(value: Any) -> Any:
    """A field's value as what JSON can hold."""
    if isinstance(value, Configuration):
        return value.to_json()
    if isinstance(value, Evaluation):
        return asdict(value)
    if isinstance(value, tuple):
        return [as_json(v) for v in value]
    return str(value) if isinstance(value, Path) else value
