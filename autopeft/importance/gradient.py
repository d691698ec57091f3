"""Gradient sensitivity: squared gradients of the pre-trained weights, summed per module and layer (SPT, 2303.08566)."""

from typing import TYPE_CHECKING

import numpy as np

from autopeft.importance.calibration import calibration_units
from autopeft.importance.registry import register
from autopeft.importance.scores import LayerScores
from autopeft.tasks.batches import collate, moved, unit_batches
from autopeft.tasks.tokens import TokenisedTask

if TYPE_CHECKING:
    from autopeft.backbone.loading import Backbone

BATCH = 32


@register("gradient")
def gradient(backbone: "Backbone", tokenised: TokenisedTask, *, rows: int = 512, seed: int = 0) -> LayerScores:
    """Score each block by its share of the squared gradients over rows / 32 batches; no weight is changed.

    The cut is ours: the blocks below the first one with at least the mean share.

    Args:
        backbone: the frozen model.
        tokenised: the task; rows of its training split are read.
        rows: about how many of them.
        seed: of their choice.
    """
    chosen = calibration_units(tokenised, rows, seed)
    sums = squared_gradients(backbone, tokenised, chosen)
    shapes, per_layer = backbone.shapes, [0.0] * backbone.shapes.num_layers
    for path, value in sums.items():
        if (layer := shapes.layer_of(path)) is not None:
            per_layer[layer] += value
    total = sum(per_layer)
    scores = tuple(x / total for x in per_layer) if total else (1 / len(per_layer),) * len(per_layer)
    warning = None if total else "Every gradient is zero, so the layers cannot be told apart: all layers are trained."
    cut = next(i for i, share in enumerate(scores) if share >= sum(scores) / len(scores) * (1 - 1e-9))
    details = {"rows": len(chosen), "per_layer": per_layer, "per_module": sums, "saving": 2 / 3 * cut / len(scores)}
    return LayerScores("gradient", scores, cut, warning, details)


def squared_gradients(backbone: "Backbone", tokenised: TokenisedTask, rows: np.ndarray) -> dict[str, float]:
    """Sum the squared gradients of the pre-trained weights by module.

    Args:
        backbone: the frozen model.
        tokenised: the task.
        rows: numbers of training rows, (N,).

    Returns:
        Module path -> the sum over batches and weights of g^2, for the modules of the blocks.
    """
    import torch

    model, shapes = backbone.model, backbone.shapes
    weights = {name: p for name, p in model.named_parameters() if shapes.layer_of(name) is not None}
    asked = {name: p.requires_grad for name, p in weights.items()}
    sums: dict[str, float] = {}
    try:
        for p in weights.values():
            p.requires_grad_(True)
        with torch.enable_grad():
            for chosen in unit_batches(tokenised.train, BATCH, rows=rows):
                inputs, targets = collate(tokenised.train, chosen, tokenised.pad_token_id)
                out = model(**moved(inputs, next(model.parameters())))
                loss = tokenised.kind.loss(tokenised.kind.logits(out), targets.to(model.device))
                for name, g in zip(weights, torch.autograd.grad(loss, list(weights.values()), allow_unused=True)):
                    if g is not None:
                        path = name.rpartition(".")[0]
                        sums[path] = sums.get(path, 0.0) + g.float().square().sum().item()
    finally:
        for name, p in weights.items():
            p.requires_grad_(asked[name])
    return sums
