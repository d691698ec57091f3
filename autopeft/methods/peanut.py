"""PEANuT: a linear's update is a small nonlinear network applied to its own weight."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.linears_only import LinearsOnly
from autopeft.methods.mechanisms.method import TARGETS, Settings


class Peanut(LinearsOnly):
    """dW^T = f(W^T A) B with A (out, r), B (r, out) and f a ReLU network of `depth` residual layers each way."""

    name = "peanut"
    title = "PEANuT"
    family = "low rank"
    paper = "Zhong et al. 2024, arXiv 2410.01870"
    hyperparameters = {"rank": (4, 8, 16, 32), "depth": (0, 1), "target_modules": TARGETS}
    defaults = {"rank": 16, "depth": 0, "target_modules": "query+value"}
    learning_rate = (2e-4, 2e-2)
    mergeable = True

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        rank, depth = settings["rank"], settings["depth"]
        return {
            x.path: 2 * rank * x.out_features + 2 * depth * rank**2
            for x in shapes.select(settings["target_modules"], layers)
        }

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        return {
            "peft_type": "PEANUT",
            "r": settings["rank"],
            "depth": settings["depth"],
            "target_modules": [x.path for x in shapes.select(settings["target_modules"], layers)],
        }
