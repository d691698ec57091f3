"""LoHa: a linear's update is the elementwise product of two low-rank matrices."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.lora import ALPHA
from autopeft.methods.mechanisms.linears_only import LinearsOnly
from autopeft.methods.mechanisms.method import TARGETS, Settings


class Loha(LinearsOnly):
    """dW = alpha / r (B1 A1) * (B2 A2), of rank up to r^2; A2 starts at zero."""

    name = "loha"
    title = "LoHa"
    family = "low rank"
    paper = "Hyeon-Woo et al. 2021, arXiv 2108.06098; Yeh et al. 2023, arXiv 2309.14859"
    hyperparameters = {"rank": (1, 2, 4, 8, 16, 32), "target_modules": TARGETS}
    defaults = {"rank": 8, "target_modules": "query+value"}
    learning_rate = (3e-4, 5e-2)
    mergeable = True
    packable = False  # its product is an autograd function that vmap cannot take

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        return {
            x.path: 2 * settings["rank"] * (x.in_features + x.out_features)
            for x in shapes.select(settings["target_modules"], layers)
        }

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        return {
            "peft_type": "LOHA",
            "r": settings["rank"],
            "alpha": ALPHA,
            "target_modules": [x.path for x in shapes.select(settings["target_modules"], layers)],
        }
