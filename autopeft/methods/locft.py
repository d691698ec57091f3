"""LocFT: one linear of one layer, trained in full."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.method import Method, Settings


class Locft(Method):
    """Trains a whole weight (o, i) and its bias; the search chooses which linear of which layer."""

    name = "locft"
    title = "LocFT-BF"
    family = "full"
    paper = "Yang et al. 2025, arXiv 2509.22072"
    hyperparameters = {"target_modules": ("ffn_out", "ffn_in", "attention_output", "value")}
    defaults = {"target_modules": "ffn_out"}
    learning_rate = (3e-5, 2e-3)
    layers = "one"
    mergeable = True

    @override
    def refuses_company(self, other: str) -> str | None:
        return "the one linear that locft trains is a copy, which peft adapts no further: leave locft out"

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        return {
            x.path: x.in_features * x.out_features + x.bias * x.out_features
            for x in shapes.select(settings["target_modules"], layers)
        }

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        return {
            "peft_type": "SELECTED",
            "target_modules": [],
            "modules_to_save": [x.path for x in shapes.select(settings["target_modules"], layers)],
        }
