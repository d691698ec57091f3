"""Uniform LoRA: what everything is compared with and timed against."""

from autopeft.backbone.shapes import BackboneShapes
from autopeft.configuration import Configuration
from autopeft.methods import count, get_method

RANKS = (64, 32, 16, 8, 4, 2, 1)
TARGETS = ("all-linear", "attention", "query+value")


def uniform_lora(shapes: BackboneShapes, budget: int | None) -> Configuration:
    """LoRA on every layer with the widest targets, then the highest rank, that the budget allows; r = 8 without one."""
    every = tuple(range(shapes.num_layers))
    options = [
        Configuration.of("lora", {**get_method("lora").defaults, "rank": r, "target_modules": t}, every, 1e-3)
        for t in TARGETS
        for r in (RANKS if budget else (8,))
    ]
    return next((c for c in options if budget is None or count(c, shapes) <= budget), options[-1])
