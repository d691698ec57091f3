"""GraLoRA: a linear is cut into k x k blocks, each with a LoRA of its own."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.lora import ALPHA
from autopeft.methods.mechanisms.low_rank import LowRank
from autopeft.methods.mechanisms.method import TARGETS, Settings
from autopeft.methods.mechanisms.work import Place, Work, dense


class Gralora(LowRank):
    """Every block has rank r / k, all together rank up to k r, at the parameters of one LoRA of rank r."""

    name = "gralora"
    title = "GraLoRA"
    family = "low rank"
    paper = "Jung et al. 2025, arXiv 2505.20355"
    hyperparameters = {"rank": (4, 8, 16, 32, 64), "gralora_k": (2, 4), "target_modules": TARGETS}
    defaults = {"rank": 8, "gralora_k": 2, "target_modules": "query+value"}
    learning_rate = (1e-4, 2e-2)
    packable = False  # it adds in place, which vmap refuses

    @override
    def refuses(self, shapes: BackboneShapes) -> str | None:
        most = max(self.hyperparameters["gralora_k"])
        if math.gcd(*(size for x in shapes.linears for size in (x.in_features, x.out_features))) % most:
            return f"the widths of {shapes.name} cannot be cut into {most} blocks"
        return None

    @override
    def work(self, settings: Settings, place: Place) -> Work:
        """Every row of blocks has hidden numbers of its own."""
        hidden = place.tokens * settings["rank"] * settings["gralora_k"]
        return replace(dense(place), saved=hidden)

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        return {
            "peft_type": "GRALORA",
            "r": settings["rank"],
            "gralora_k": settings["gralora_k"],
            "alpha": ALPHA,
            "target_modules": [x.path for x in shapes.select(settings["target_modules"], layers)],
        }
