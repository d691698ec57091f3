"""Variance ratio: between-class over within-class variance of the pooled states, layer by layer (arXiv 2210.10041)."""

from typing import TYPE_CHECKING

import numpy as np

from autopeft.importance.calibration import calibration_rows, refuse_without_classes
from autopeft.importance.hidden_states import classed_positions, states_at
from autopeft.importance.registry import register
from autopeft.importance.scores import LayerScores
from autopeft.importance.semantic_trace import from_deviation
from autopeft.tasks.tokens import TokenisedTask

if TYPE_CHECKING:
    from autopeft.backbone.loading import Backbone


@register("variance")
def variance(backbone: "Backbone", tokenised: TokenisedTask, *, rows: int = 512, seed: int = 0) -> LayerScores:
    """Score blocks by how much they separate the classes.

    The within-class share of the variance, 1 / (1 + ratio), takes the place of the trace's deviation; the cut and the
    scores then follow the trace's rules, which is our choice.

    Args:
        backbone: the frozen model.
        tokenised: the task; rows of its training split are read.
        rows: about how many of them.
        seed: of their choice.
    """
    chosen = calibration_rows(tokenised.kind.strata(tokenised.train), rows, seed)
    chosen, places, classes = classed_positions(tokenised, chosen, seed)
    refuse_without_classes(classes, "The variance ratio", "choose another scorer: trace or gradient")
    within, total = spreads(states_at(backbone, tokenised, chosen, places), classes)
    within, total = within.mean(axis=0), total.mean(axis=0)
    ratio = np.where(total > 0, total / np.maximum(within, 1e-12) - 1, 0.0)  # a state that never varies tells nothing
    share = (1 / (1 + ratio))[None]
    scores = from_deviation("variance", share, np.ones(1), backbone.shapes, {"rows": len(chosen)}, seed=seed)
    details = {
        "rows": len(chosen),
        "ratio": ratio.tolist(),
        "within_share": share[0].tolist(),
        "saving": scores.details["saving"],
    }
    return LayerScores("variance", scores.scores, scores.cut, scores.warning, details)


def spreads(states: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """States (L + 1, N, H) -> squared distances (N, L + 1) to the own class's mean and to the mean of all."""
    own = np.empty_like(states)
    for c in np.unique(labels):
        own[:, labels == c] = states[:, labels == c].mean(axis=1, keepdims=True)
    everyone = states.mean(axis=1, keepdims=True)
    return tuple(((states - centre) ** 2).sum(axis=-1).T for centre in (own, everyone))
