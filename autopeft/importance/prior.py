"""What a search does with layer scores: weights for the frozen prefix and for each layer."""

import numpy as np

from autopeft.importance.scores import LayerScores

NEAR_CUT = 0.5  # how fast the weight of a depth falls with its distance from the cut
LOWEST, HIGHEST, UNKNOWN = 0.35, 0.95, 0.75


def frozen_layers_weights(scores: LayerScores | None, num_layers: int) -> tuple[float, ...]:
    """P(frozen_layers = f), f = 0..L-1: half uniform, half geometric around the cut; uniform without scores.

    A scorer that states weights of its own (`saving`) is taken at its word.
    """
    if scores is None:
        return (1 / num_layers,) * num_layers
    if "frozen_layers_weights" in scores.details:
        return tuple(scores.details["frozen_layers_weights"])
    near = NEAR_CUT ** np.abs(np.arange(num_layers) - min(scores.cut, num_layers - 1))
    return tuple((0.5 / num_layers + 0.5 * near / near.sum()).tolist())


def layer_on_probability(scores: LayerScores | None, num_layers: int) -> tuple[float, ...]:
    """P(layer is adapted), rising with the layer's rank by score; ties share a mean; never 0 or 1."""
    if scores is None or len(set(scores.scores)) == 1:
        return (UNKNOWN,) * num_layers
    below = np.less.outer(scores.scores, scores.scores).sum(axis=0)
    ties = np.equal.outer(scores.scores, scores.scores).sum(axis=0) - 1
    rank = (below + ties / 2) / (num_layers - 1)
    return tuple((LOWEST + (HIGHEST - LOWEST) * rank).tolist())
