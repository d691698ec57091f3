"""GLoRA: weight and bias are both scaled and shifted by trained terms."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.linears_only import LinearsOnly
from autopeft.methods.mechanisms.method import TARGETS, Settings


class Glora(LinearsOnly):
    """W + W * A + B and b + b * D + E + W C: A and B of rank r, C, D and E vectors; the last three with a bias only.

    Without the paper's evolutionary search over the five forms, which is what a search here would be for.
    """

    name = "glora"
    title = "GLoRA"
    family = "low rank"
    paper = "Chavan et al. 2023, arXiv 2306.07967"
    hyperparameters = {"rank": (1, 2, 4, 8, 16), "target_modules": TARGETS}
    defaults = {"rank": 4, "target_modules": "query+value"}
    learning_rate = (1e-4, 1e-2)
    mergeable = True

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        return {
            x.path: 2 * settings["rank"] * (x.in_features + x.out_features)
            + x.bias * (x.in_features + 2 * x.out_features)
            for x in shapes.select(settings["target_modules"], layers)
        }

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        return {
            "peft_type": "GLORA",
            "r": settings["rank"],
            "config_A_B": "lora",
            "config_C": "vector",
            "config_D_E": "vector",
            "target_modules": [x.path for x in shapes.select(settings["target_modules"], layers)],
        }
