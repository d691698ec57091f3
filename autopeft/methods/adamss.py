"""AdaMSS: the rows of a weight are clustered, and each cluster gets a small update of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.linears_only import LinearsOnly
from autopeft.methods.mechanisms.method import TARGETS, Settings

if TYPE_CHECKING:
    import torch


class Adamss(LinearsOnly):
    """The rows' leading singular vectors (r of them) are clustered into K; rows of a cluster share B A of rank 1.

    Without the paper's schedule, which drops clusters while it trains.
    """

    name = "adamss"
    title = "AdaMSS"
    family = "low rank"
    paper = "Zheng et al. 2025, NeurIPS"
    hyperparameters = {"rank": (25, 50, 100), "num_subspaces": (2, 5, 10), "target_modules": TARGETS}
    defaults = {"rank": 50, "num_subspaces": 5, "target_modules": "query+value"}
    learning_rate = (3e-4, 3e-2)
    mergeable = True

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        def number(x: torch.Tensor) -> int:
            rank = min(settings["rank"], x.out_features, x.in_features + x.bias)  # the bias is one more column
            return x.out_features + min(settings["num_subspaces"], x.out_features) * rank

        return {x.path: number(x) for x in shapes.select(settings["target_modules"], layers)}

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        return {
            "peft_type": "ADAMSS",
            "r": settings["rank"],
            "num_subspaces": settings["num_subspaces"],
            "subspace_rank": 1,
            "target_modules": [x.path for x in shapes.select(settings["target_modules"], layers)],
        }
