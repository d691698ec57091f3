"""HRA: the inputs of a linear are reflected at trained hyperplanes before it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.linears_only import LinearsOnly
from autopeft.methods.mechanisms.method import TARGETS, Settings
from autopeft.methods.mechanisms.work import Place, Work, joined, weight_gradient


class Hra(LinearsOnly):
    """W H_1 ... H_r with Householder reflections H = I - 2 u u^T / |u|^2; equal pairs cancel at the start, so r is even.

    They cancel up to rounding, so the start is not bit-equal. W is multiplied anew in every forward pass: a step costs
    about one more product of the weight with an (in, in) matrix.
    """

    name = "hra"
    title = "HRA"
    family = "orthogonal"
    paper = "Yuan et al. 2024, arXiv 2405.17484"
    hyperparameters = {"rank": (2, 4, 8, 16, 32), "target_modules": TARGETS}
    defaults = {"rank": 8, "target_modules": "query+value"}
    learning_rate = (3e-4, 3e-2)
    zero_start = False
    mergeable = True
    bypasses_linear = True

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        return {x.path: settings["rank"] * x.in_features for x in shapes.select(settings["target_modules"], layers)}

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        return {
            "peft_type": "HRA",
            "r": settings["rank"],
            "target_modules": [x.path for x in shapes.select(settings["target_modules"], layers)],
        }

    @override
    def work(self, settings: Settings, place: Place) -> Work:
        """The reflections are multiplied into one (in, in) matrix, twice over, and that into the weight."""
        size, rank = place.inputs, settings["rank"]
        into_weight = 2 * size**3 + 2 * place.weights * size
        chained = Work(4 * rank * size**2 + into_weight, (8 * rank - 2) * size**2 + into_weight, 0)
        kept = (rank + 2) * size**2 + place.weights
        return joined(chained, Work(saved=kept), weight_gradient(replace(place, weight_bytes=4)))
