"""OFT: the inputs of a linear are rotated, block by block, before it."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.block_size import admissible
from autopeft.methods.mechanisms.linears_only import LinearsOnly
from autopeft.methods.mechanisms.method import TARGETS, Settings


class Oft(LinearsOnly):
    """W R with R block-diagonal and orthogonal: R = (I - Q)(I + Q)^-1 of a skew-symmetric Q, which is trained.

    The exact inverse, not its series of five terms: at the rates of a short run the series is no rotation any more.
    """

    name = "oft"
    title = "OFT"
    family = "orthogonal"
    paper = "Qiu et al. 2023, arXiv 2306.07280; OFTv2: Qiu et al. 2025, arXiv 2506.19847"
    hyperparameters = {"block_size": (4, 8, 16, 32, 64), "target_modules": TARGETS}
    defaults = {"block_size": 32, "target_modules": "query+value"}
    learning_rate = (3e-4, 3e-2)
    quantised_base = True
    mergeable = True
    packable = False  # writes into a matrix in place, which vmap cannot

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        size, chosen = blocks(settings, layers, shapes)
        return {x.path: x.in_features * (size - 1) // 2 for x in chosen}

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        size, chosen = blocks(settings, layers, shapes)
        return {
            "peft_type": "OFT",
            "r": 0,
            "oft_block_size": size,
            "use_cayley_neumann": False,
            "target_modules": [x.path for x in chosen],
        }


def blocks(settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> tuple:
    """The block size that all chosen linears can have, and these linears."""
    chosen = shapes.select(settings["target_modules"], layers)
    return admissible(settings["block_size"], {x.in_features for x in chosen}), chosen
