"""DeLoRA: LoRA whose rank-one terms are normalised, so a trained bound alone sets the update's size."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.linears_only import LinearsOnly
from autopeft.methods.mechanisms.method import TARGETS, Settings
from autopeft.methods.mechanisms.work import Place, Work, chain


class Delora(LinearsOnly):
    """dW = lambda / r sum_i b_i a_i^T / (|b_i| |a_i|), times the norms of W's columns; B starts at zero.

    The first step already gives the update its full size: delora_lambda, not the rate, says how far training goes.
    """

    name = "delora"
    title = "DeLoRA"
    family = "low rank"
    paper = "Bini et al. 2025, arXiv 2503.18225"
    hyperparameters = {"rank": (2, 4, 8, 16, 32), "target_modules": TARGETS, "delora_lambda": (0.5, 2.0, 8.0)}
    defaults = {"rank": 8, "target_modules": "query+value", "delora_lambda": 2.0}
    learning_rate = (3e-4, 5e-2)
    mergeable = True
    packable = False  # it adds in place, which vmap refuses

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        return {
            x.path: settings["rank"] * (x.in_features + x.out_features) + 1
            for x in shapes.select(settings["target_modules"], layers)
        }

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        return {
            "peft_type": "DELORA",
            "r": settings["rank"],
            "delora_lambda": settings["delora_lambda"],
            "target_modules": [x.path for x in shapes.select(settings["target_modules"], layers)],
        }

    @override
    def work(self, settings: Settings, place: Place) -> Work:
        """The input is scaled first, so a copy of it is kept."""
        update = chain(place.tokens, place.inputs, settings["rank"], place.outputs)
        return replace(update, saved=2 * update.saved + place.tokens * place.inputs, keeps_input=False)

    @override
    def stored(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        return {"norms of columns": 4 * sum(x.in_features for x in shapes.select(settings["target_modules"], layers))}
