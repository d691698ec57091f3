"""LayerScores: how much each block is worth training."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from autopeft.base.checked import checked


@dataclass(frozen=True)
class LayerScores:
    """One score per block (index 0 nearest the embeddings); a higher score means more worth training.

    The details are what the scorer measured, JSON-ready; for the semantic trace "deviation" (L + 1 values), "gain",
    "gain_log", "gain_scaling" (L values each), their bootstrap intervals and "saving".
    """

    scorer: str
    scores: tuple[float, ...]
    cut: int  # blocks from the bottom that the scorer would freeze; 0 freezes none
    warning: str | None = None
    details: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """What `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "LayerScores":
        """What `to_json` wrote. Raises ValueError for anything else."""
        return checked(cls, data)
