"""LoRA: a linear's update is a product of two thin matrices."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.low_rank import LowRank
from autopeft.methods.mechanisms.method import TARGETS, Settings

# One alpha for every rank, as in the paper, which sets it once and does not tune it: a constant is what both scalings
# (alpha / r, and rank-stabilised alpha / sqrt(r)) are defined over, and the searched learning rate absorbs its size.
ALPHA = 16


class Lora(LowRank):
    """dW = s B A, A (r, i), B (o, r) starting at zero; s = alpha / r, with `rslora` alpha / sqrt(r)."""

    name = "lora"
    title = "LoRA"
    family = "low rank"
    paper = "Hu et al. 2021, arXiv 2106.09685; rsLoRA: Kalajdzievski 2023, arXiv 2312.03732"
    hyperparameters = {"rank": (1, 2, 4, 8, 16, 32, 64), "target_modules": TARGETS, "rslora": (False, True)}
    defaults = {"rank": 8, "target_modules": "query+value", "rslora": False}
    learning_rate = (1e-4, 2e-2)
    quantised_base = True

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        return {
            "peft_type": "LORA",
            "r": settings["rank"],
            "lora_alpha": ALPHA,
            "use_rslora": settings["rslora"],
            "target_modules": [x.path for x in shapes.select(settings["target_modules"], layers)],
        }
