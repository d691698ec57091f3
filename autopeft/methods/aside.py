"""Inside-and-aside: bottlenecks inside the blocks and a connected lane of them alongside."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.method import Method, Settings
from autopeft.methods.serial_adapter import bottleneck_parameters


class Aside(Method):
    """The paper's definitions were not available: the lane is our own reading (see the tuner)."""

    name = "aside"
    title = "inside-and-aside bottlenecks"
    family = "adapter"
    paper = "Ma et al. 2022, arXiv 2208.09847"
    hyperparameters = {"bottleneck": (1, 2, 4, 8, 16, 32, 64), "inside": (False, True)}
    defaults = {"bottleneck": 8, "inside": True}
    learning_rate = (1e-4, 1e-2)
    repeatable = False

    @override
    def refuses(self, shapes: BackboneShapes) -> str | None:
        return (
            "the lane runs from block to block, and the blocks of an encoder and a decoder see different tokens"
            if shapes.decoder_path
            else None
        )

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        each = (1 + settings["inside"]) * bottleneck_parameters(shapes.hidden_size, settings["bottleneck"])
        return {shapes.block(layer): each for layer in layers}

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        chain = [shapes.block(layer) for layer in sorted(layers)]
        return {
            "peft_type": "ASIDE",
            "bottleneck": settings["bottleneck"],
            "hidden_size": shapes.hidden_size,
            "inside": settings["inside"],
            "chain": chain,
            "target_modules": chain,
        }
