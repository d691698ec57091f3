"""VeRA: one frozen random pair of matrices shared by all modules, two trained vectors in each."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.method import TARGETS, Method, Settings


class Vera(Method):
    """dW = diag(b) B diag(d) A; b starts at 0, d at 0.1. The random A and B are saved with the adapter."""

    name = "vera"
    title = "VeRA"
    family = "very few numbers"
    paper = "Kopiczko et al. 2023, arXiv 2310.11454"
    # Rank costs one number a module, so it is of the order of the width, not of LoRA's ranks.
    hyperparameters = {"rank": (16, 64, 256, 1024), "target_modules": TARGETS}
    defaults = {"rank": 256, "target_modules": "query+value"}
    learning_rate = (1e-3, 1e-1)
    quantised_base = True
    mergeable = True

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        return {x.path: settings["rank"] + x.out_features for x in shapes.select(settings["target_modules"], layers)}

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        return {
            "peft_type": "VERA",
            "r": settings["rank"],
            "d_initial": 0.1,
            "projection_prng_key": 0,
            "save_projection": True,
            "target_modules": [x.path for x in shapes.select(settings["target_modules"], layers)],
        }

    @override
    def refuses_company(self, other: str) -> str | None:
        return (
            f"{self.title} shares its random matrices between all modules of a model, which peft cannot combine with "
            f"another method: leave {self.name} out"
        )
