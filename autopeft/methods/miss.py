"""MiSS: every block of a weight's columns gets the same trained matrix added."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.linears_only import LinearsOnly
from autopeft.methods.mechanisms.method import TARGETS, Settings


class Miss(LinearsOnly):
    """dW repeats one r x out matrix D over the inputs: dW x = D^T sum_j x_block(j), the inputs in blocks of r."""

    name = "miss"
    title = "MiSS"
    family = "low rank"
    paper = "Kang and Yin 2024, arXiv 2409.15371"
    hyperparameters = {"rank": (2, 4, 8, 16, 32), "target_modules": TARGETS}
    defaults = {"rank": 16, "target_modules": "query+value"}
    learning_rate = (1e-4, 2e-2)
    mergeable = True

    @override
    def refuses(self, shapes: BackboneShapes) -> str | None:
        largest, narrow = max(self.hyperparameters["rank"]), min(x.in_features for x in shapes.linears)
        if narrow < largest:
            return f"{shapes.name} has linears of {narrow} inputs, which cannot be cut into blocks of {largest}"
        return super().refuses(shapes)

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        return {x.path: settings["rank"] * x.out_features for x in shapes.select(settings["target_modules"], layers)}

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        return {
            "peft_type": "MISS",
            "r": settings["rank"],
            "target_modules": [x.path for x in shapes.select(settings["target_modules"], layers)],
        }
