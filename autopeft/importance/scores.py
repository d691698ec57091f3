"""LayerScores: how much each block is worth training."""

from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class LayerScores:
    """One score per block (index 0 nearest the embeddings); a higher score means more worth training.

    cut: how many blocks from the bottom the scorer would freeze (0 freezes none).
    details: what the scorer measured, JSON-ready; for the semantic trace "deviation" (L + 1 values), "gain",
    "gain_log", "gain_scaling" (L values each), their bootstrap intervals and "saving".
    """

    scorer: str
    scores: tuple[float, ...]
    cut: int
    warning: str | None = None
    details: dict = field(default_factory=dict)

    def to_json(self) -> dict:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict) -> "LayerScores":
        return cls(**{**data, "scores": tuple(data["scores"])})
