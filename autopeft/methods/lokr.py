"""LoKr: a linear's update is the Kronecker product of a small matrix and a low-rank one."""

from __future__ import annotations

import math
from typing import Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.lora import ALPHA
from autopeft.methods.mechanisms.linears_only import LinearsOnly
from autopeft.methods.mechanisms.method import TARGETS, Settings


class Lokr(LinearsOnly):
    """dW = alpha / r W1 kron (B2 A2); the second factor is full where the rank would not make it smaller."""

    name = "lokr"
    title = "LoKr"
    family = "low rank"
    paper = "Edalati et al. 2022, arXiv 2212.10650; Yeh et al. 2023, arXiv 2309.14859"
    hyperparameters = {"rank": (2, 4, 8, 16, 32), "decompose_factor": (4, 8, 16), "target_modules": TARGETS}
    defaults = {"rank": 8, "decompose_factor": 8, "target_modules": "query+value"}
    learning_rate = (2e-4, 2e-2)
    mergeable = True

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        rank, factor = settings["rank"], settings["decompose_factor"]
        return {
            x.path: count(split(x.out_features, factor), split(x.in_features, factor), rank)
            for x in shapes.select(settings["target_modules"], layers)
        }

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        return {
            "peft_type": "LOKR",
            "r": settings["rank"],
            "alpha": ALPHA,
            "decompose_factor": settings["decompose_factor"],
            "target_modules": [x.path for x in shapes.select(settings["target_modules"], layers)],
        }


def count(out: tuple[int, int], size: tuple[int, int], rank: int) -> int:
    """Parameters of W1 (out[0], size[0]) and of W2 (out[1], size[1]), the latter in two factors if that is less."""
    second = rank * (out[1] + size[1]) if rank < max(out[1], size[1]) / 2 else out[1] * size[1]
    return out[0] * size[0] + second


def split(size: int, factor: int) -> tuple[int, int]:
    """Two numbers with that product, the first one `factor` or the nearest divisor below it, as peft divides."""
    if size % factor == 0:
        return factor, size // factor
    first = max(d for d in range(1, min(factor, math.isqrt(size)) + 1) if size % d == 0)
    return first, size // first
