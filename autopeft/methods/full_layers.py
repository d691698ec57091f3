"""Full fine-tuning of any set of blocks, such as those that a layer score chose."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.method import Method, Settings


class FullLayers(Method):
    """Trained: every parameter of the chosen blocks and, unlike `full`, nothing beside them."""

    name = "full_layers"
    title = "full fine-tuning of single layers"
    family = "full"
    paper = "Lee et al. 2022, arXiv 2210.11466"  # surgical fine-tuning
    learning_rate = (1e-5, 5e-4)
    mergeable = True

    @override
    def refuses_company(self, other: str) -> str | None:
        return "whole blocks are trained as copies, inside and around which peft adapts nothing: leave full_layers out"

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        return {shapes.block(layer): shapes.block_parameters[layer] for layer in layers}

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        return {
            "peft_type": "SELECTED",
            "target_modules": [],
            "modules_to_save": [shapes.block(layer) for layer in layers],
        }
