"""LoRA behind a gate, as one of UniPELT's three parts."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.lora import ALPHA, Lora
from autopeft.methods.mechanisms.method import TARGETS, Settings


class GatedLora(Lora):
    """Each linear has a gate that its input opens and closes, token by token: i + 1 numbers more."""

    name = "gated_lora"
    title = "gated LoRA (UniPELT)"
    family = "low rank"
    paper = "Mao et al. 2021, arXiv 2110.07577"
    hyperparameters = {"rank": (1, 2, 4, 8, 16, 32), "target_modules": TARGETS}
    defaults = {"rank": 8, "target_modules": "query+value"}
    mergeable = False

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        gates = {x.path: x.in_features + 1 for x in shapes.select(settings["target_modules"], layers)}
        return {path: number + gates[path] for path, number in super().count(settings, layers, shapes).items()}

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        return {
            "peft_type": "GATED_LORA",
            "rank": settings["rank"],
            "alpha": ALPHA,
            "target_modules": [x.path for x in shapes.select(settings["target_modules"], layers)],
        }
