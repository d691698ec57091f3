"""C3A: a linear's update is made of circulant blocks, one trained kernel each."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.block_size import admissible
from autopeft.methods.mechanisms.linears_only import LinearsOnly
from autopeft.methods.mechanisms.method import TARGETS, Settings


class C3a(LinearsOnly):
    """Block (i, j) of dW is the circulant matrix of a kernel of b numbers, over in_features; applied by FFT."""

    name = "c3a"
    title = "C3A"
    family = "very few numbers"
    paper = "Chen et al. 2024, arXiv 2407.19342"
    hyperparameters = {"block_size": (16, 32, 64, 128, 256), "target_modules": TARGETS}
    defaults = {"block_size": 128, "target_modules": "query+value"}
    learning_rate = (1e-2, 1.0)  # a kernel is divided by the width, so a weight moves by a thousandth of that
    mergeable = True
    packable = False  # an autograd function that vmap cannot take

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        size, chosen = blocks(settings, layers, shapes)
        return {x.path: x.in_features * x.out_features // size for x in chosen}

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        size, chosen = blocks(settings, layers, shapes)
        return {
            "peft_type": "C3A",
            "block_size": size,
            "init_weights": True,  # zeros
            "target_modules": [x.path for x in chosen],
        }


def blocks(settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> tuple:
    """The block size that all chosen linears can have, and these linears."""
    chosen = shapes.select(settings["target_modules"], layers)
    return admissible(settings["block_size"], {n for x in chosen for n in (x.in_features, x.out_features)}), chosen
