"""Record: what a full training measured on its way, which point of it is the best, and when to stop. No torch."""

import csv
import io
from dataclasses import asdict, dataclass, field

COLUMNS = ("step", "epoch", "learning_rate", "train_loss", "validation_loss", "validation_score", "seconds")


@dataclass
class Record:
    """points: one row (COLUMNS) per evaluation; best: the row to keep where patience is set, else the last is kept."""

    watch: str = "score"
    patience: int | None = None
    points: list[dict] = field(default_factory=list)
    best: dict | None = None
    waited: int = 0  # evaluations since the best
    peak_memory_bytes: int = 0
    resumed: list[int] = field(default_factory=list)  # steps from which a checkpoint was gone on from

    def add(self, **point) -> bool:
        """Keep a row; whether it is the best so far (the first of equals is)."""
        self.points.append(point)
        if better := self.best is None or self._worth(point) > self._worth(self.best):
            self.best, self.waited = point, 0
        else:
            self.waited += 1
        return better

    def _worth(self, point: dict) -> float:
        return point["validation_score"] if self.watch == "score" else -point["validation_loss"]

    @property
    def stopped(self) -> bool:
        """Whether the patience is spent."""
        return self.patience is not None and self.waited >= self.patience

    @property
    def kept(self) -> dict:
        """The row whose weights are saved."""
        return self.best if self.patience else self.points[-1]

    @property
    def seconds(self) -> float:
        return self.points[-1]["seconds"] if self.points else 0.0

    def csv(self) -> str:
        out = io.StringIO()
        writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.points)
        return out.getvalue()

    def facts(self) -> dict:
        """What scores.json says of it."""
        return {
            "validation_score": self.kept["validation_score"],
            "validation_loss": self.kept["validation_loss"],
            "kept_step": self.kept["step"],
            "stopped_at": self.points[-1]["step"],
            "seconds": self.seconds,
            "peak_memory_bytes": self.peak_memory_bytes,
            "resumed": self.resumed,
            "curve": self.points,
        }

    def to_json(self) -> dict:
        return asdict(self)
