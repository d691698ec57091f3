"""Uni-LoRA: all LoRA matrices of a model are read off one trained vector."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.method import TARGETS, Method, Settings

RANK = 4  # as in the paper; it costs nothing, and the vector's length says how many numbers are trained


class Unilora(Method):
    """Each entry of every A and B is one number of the vector, by a random assignment that the config's seed repeats."""

    name = "unilora"
    title = "Uni-LoRA"
    family = "very few numbers"
    paper = "Li et al. 2025, arXiv 2506.00799"
    hyperparameters = {"vector_length": (64, 256, 1024, 4096, 16384), "target_modules": TARGETS}
    defaults = {"vector_length": 1024, "target_modules": "query+value"}
    learning_rate = (1e-3, 1e-1)
    zero_start = False  # A and B share numbers, so neither can be zero
    mergeable = True

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        return {"shared vector": settings["vector_length"]}

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        return {
            "peft_type": "UNILORA",
            "r": RANK,
            "theta_d_length": settings["vector_length"],
            "proj_seed": 42,
            "target_modules": [x.path for x in shapes.select(settings["target_modules"], layers)],
        }

    @override
    def refuses_company(self, other: str) -> str | None:
        return "Uni-LoRA shares its vector between all modules of a model: leave unilora out"
