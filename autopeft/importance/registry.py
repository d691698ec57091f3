"""The layer scorers by name, filled by their own files."""

from collections.abc import Callable

from autopeft.base.errors import AutopeftError, did_you_mean
from autopeft.importance.scores import LayerScores

Scorer = Callable[..., LayerScores]
REGISTRY: dict[str, Scorer] = {}


def register(name: str) -> Callable[[Scorer], Scorer]:
    """Enter a function (backbone, tokenised, *, rows, seed, ...) -> LayerScores under a name."""

    def enter(scorer: Scorer) -> Scorer:
        REGISTRY[name] = scorer
        return scorer

    return enter


def get_scorer(name: str) -> Scorer:
    """The scorer of that name. Raises AutopeftError with the nearest name."""
    if name not in REGISTRY:
        raise AutopeftError(f"Unknown layer scorer '{name}'." + did_you_mean(name, REGISTRY))
    return REGISTRY[name]
