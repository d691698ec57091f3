"""BEFT: a trained bias is added to what the value projection gives, whether it has a bias or not."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.linears_only import LinearsOnly
from autopeft.methods.mechanisms.method import Settings
from autopeft.methods.mechanisms.work import Place, Work


class Beft(LinearsOnly):
    """Not called mergeable: a projection without a bias has nothing to merge it into."""

    name = "beft"
    title = "BEFT"
    family = "very few numbers"
    paper = "Huang et al. 2025, arXiv 2509.15974"
    hyperparameters = {"target_modules": ("query", "key", "value", "query+value", "ffn_in", "all-linear")}
    defaults = {"target_modules": "value"}
    learning_rate = (3e-4, 3e-2)

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        return {x.path: x.out_features for x in shapes.select(settings["target_modules"], layers)}

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        chosen = shapes.select(settings["target_modules"], layers)
        return {"peft_type": "BEFT", "target_modules": [x.path for x in chosen]}

    @override
    def work(self, settings: Settings, place: Place) -> Work:
        return Work(keeps_input=False)
