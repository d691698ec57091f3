"""DEFT: a subspace of a linear's outputs is taken out of the weight and trained anew."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.method import TARGETS, Method, Settings


class Deft(Method):
    """W' = (I - P Q^T) W + P R with P (out, r), R (r, in) and Q = relu(P); R starts so that W' = W."""

    name = "deft"
    title = "DEFT"
    family = "low rank"
    paper = "2025, arXiv 2509.22793 (NeurIPS 2025)"
    hyperparameters = {"rank": (1, 2, 4, 8, 16, 32), "target_modules": TARGETS, "decomposition": ("relu", "qr")}
    defaults = {"rank": 8, "target_modules": "query+value", "decomposition": "relu"}
    learning_rate = (5e-5, 1e-2)
    zero_start = False  # what is taken out is put back, up to rounding
    mergeable = True

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        return {
            x.path: min(settings["rank"], x.out_features) * (x.in_features + x.out_features)
            for x in shapes.select(settings["target_modules"], layers)
        }

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        return {
            "peft_type": "DEFT",
            "r": settings["rank"],
            "decomposition_method": settings["decomposition"],
            "target_modules": [x.path for x in shapes.select(settings["target_modules"], layers)],
        }
