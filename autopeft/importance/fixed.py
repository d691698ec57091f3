"""Scorers that look at nothing, to compare the others with: uniform and random."""

from typing import TYPE_CHECKING

import numpy as np

from autopeft.importance.registry import register
from autopeft.importance.scores import LayerScores
from autopeft.tasks.tokens import TokenisedTask

if TYPE_CHECKING:
    from autopeft.backbone.loading import Backbone


@register("uniform")
def uniform(backbone: "Backbone", tokenised: TokenisedTask, *, rows: int = 512, seed: int = 0) -> LayerScores:
    """Score every block alike and freeze nothing.

    Args:
        backbone: the frozen model.
        tokenised: the task; not read.
        rows: not used.
        seed: not used.
    """
    return LayerScores("uniform", (1.0,) * backbone.shapes.num_layers, 0, None, {"saving": 0.0})


@register("random")
def random(backbone: "Backbone", tokenised: TokenisedTask, *, rows: int = 512, seed: int = 0) -> LayerScores:
    """Draw the scores and the cut by the seed.

    Args:
        backbone: the frozen model.
        tokenised: not read.
        rows: not used.
        seed: of the draws.
    """
    generator, layers = np.random.default_rng(seed), backbone.shapes.num_layers
    cut = int(generator.integers(layers))
    return LayerScores("random", tuple(generator.random(layers).tolist()), cut, None, {"saving": 2 / 3 * cut / layers})
