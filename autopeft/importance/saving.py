"""The prior of cost alone: a deeper cut is a cheaper trial once the states below it are stored."""

from typing import TYPE_CHECKING

from autopeft.importance.registry import register
from autopeft.importance.scores import LayerScores
from autopeft.tasks.tokens import TokenisedTask

if TYPE_CHECKING:
    from autopeft.backbone.loading import Backbone


@register("saving")
def saving(backbone: "Backbone", tokenised: TokenisedTask, *, rows: int = 512, seed: int = 0) -> LayerScores:
    """Score every block alike; weight each depth by how many of its steps fit into one that trains every block.

    Args:
        backbone: the frozen model.
        tokenised: not read.
        rows: not used.
        seed: not used.
    """
    return saving_of(backbone.shapes.num_layers)


def saving_of(num_layers: int) -> LayerScores:
    """L -> weights of frozen_layers = k in proportion to L / (L - k), the steps' ratio with the prefix read from store."""
    weights = [num_layers / (num_layers - k) for k in range(num_layers)]
    details = {"saving": 0.0, "frozen_layers_weights": [w / sum(weights) for w in weights]}
    return LayerScores("saving", (1.0,) * num_layers, 0, None, details)
