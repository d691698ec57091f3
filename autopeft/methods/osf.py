"""OSF: the smallest singular directions of a weight are trained, kept orthogonal to the others."""

from __future__ import annotations

import re
from typing import Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes, Linear
from autopeft.methods.mechanisms.linears_only import LinearsOnly
from autopeft.methods.mechanisms.method import TARGETS, Settings


class Osf(LinearsOnly):
    """W = U S V^T, of which the last r directions are trained; gradients lose their part along the frozen ones."""

    name = "osf"
    title = "OSF"
    family = "low rank"
    paper = "Nayak et al. 2025, arXiv 2504.07097"
    hyperparameters = {"rank": (1, 2, 4, 8, 16, 32), "target_modules": TARGETS}
    defaults = {"rank": 8, "target_modules": "query+value"}
    learning_rate = (1e-4, 1e-2)
    zero_start = False  # the directions as they were are subtracted again, up to rounding
    mergeable = True
    packable = False  # its gradients pass through hooks of the attached parameters

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        return {
            x.path: trained(x, settings) * (x.in_features + x.out_features + 1)
            for x in shapes.select(settings["target_modules"], layers)
        }

    @override
    def refuses_company(self, other: str) -> str | None:
        return "OSF splits the weights themselves, beside which peft counts no other adapter: leave osf out"

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        chosen = shapes.select(settings["target_modules"], layers)
        frozen = {x.path: min(x.in_features, x.out_features) - trained(x, settings) for x in chosen}
        return {
            "peft_type": "OSF",
            "rank_pattern": {f"{re.escape(path)}$": rank for path, rank in frozen.items()},
            "target_modules": list(frozen),
        }


def trained(linear: Linear, settings: Settings) -> int:
    """How many singular directions of a linear are trained; at least one stays frozen."""
    return min(settings["rank"], min(linear.in_features, linear.out_features) - 1)
