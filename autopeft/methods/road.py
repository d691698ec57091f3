"""RoAd: pairs of a linear's outputs are rotated and scaled by trained angles and factors."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.block_size import admissible
from autopeft.methods.mechanisms.linears_only import LinearsOnly
from autopeft.methods.mechanisms.method import TARGETS, Settings

GROUP = 64  # outputs in which the first half is paired with the second: peft's default
NUMBERS = {"road_1": 1, "road_2": 2, "road_4": 4}  # angles and factors together, per output


class Road(LinearsOnly):
    """A pair shares one angle and one factor (road_1), or each of its outputs (road_2), or each entry (road_4)."""

    name = "road"
    title = "RoAd"
    family = "very few numbers"
    paper = "Liao and Monz 2024, arXiv 2409.00119"
    hyperparameters = {"variant": ("road_1", "road_2", "road_4"), "target_modules": TARGETS}
    defaults = {"variant": "road_1", "target_modules": "all-linear"}
    learning_rate = (1e-3, 5e-2)
    mergeable = True

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        numbers = NUMBERS[settings["variant"]]
        return {x.path: numbers * x.out_features for x in shapes.select(settings["target_modules"], layers)}

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        chosen = shapes.select(settings["target_modules"], layers)
        return {
            "peft_type": "ROAD",
            "variant": settings["variant"],
            "group_size": admissible(GROUP, {x.out_features for x in chosen}),
            "target_modules": [x.path for x in chosen],
        }
