"""TinyLoRA: a linear moves inside its two leading singular directions, by a handful of numbers."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.method import TARGETS, Method, Settings


class Tinylora(Method):
    """dW = B (sum_i v_i P_i) A: A and B from the SVD of the weight (rank 2), P_i random and frozen, v trained.

    tied: one v for all modules, so the whole method trains `numbers` numbers.
    """

    name = "tinylora"
    title = "TinyLoRA"
    family = "very few numbers"
    paper = "Morris et al. 2026, arXiv 2602.04118"
    hyperparameters = {"numbers": (1, 4, 16, 64), "tied": (False, True), "target_modules": TARGETS}
    defaults = {"numbers": 16, "tied": False, "target_modules": "query+value"}
    learning_rate = (1e-3, 1e-1)
    mergeable = True

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        if settings["tied"]:
            return {"shared vector": settings["numbers"]}
        return {x.path: settings["numbers"] for x in shapes.select(settings["target_modules"], layers)}

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        return {
            "peft_type": "TINYLORA",
            "r": 2,
            "u": settings["numbers"],
            "weight_tying": float(settings["tied"]),
            "target_modules": [x.path for x in shapes.select(settings["target_modules"], layers)],
        }

    @override
    def refuses_company(self, other: str) -> str | None:
        return "TinyLoRA keeps its numbers beside the modules of a model: leave tinylora out"
