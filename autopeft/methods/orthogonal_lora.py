"""LoRA with orthogonal factors: A and B start off zero in subspaces that annul each other."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.lora import Lora
from autopeft.methods.mechanisms.method import Settings


class OrthogonalLora(Lora):
    """The rows of one random orthogonal matrix are shared out between A and B, so B A = 0 although neither is."""

    name = "orthogonal_lora"
    title = "LoRA, orthogonal start"
    family = "low rank"
    paper = "Datta 2024, datta0.github.io/posts/rethink-lora-init"
    hyperparameters = {**Lora.hyperparameters, "rank": (2, 4, 8, 16, 32, 64)}  # even: half the rows for each factor
    learning_rate = (1e-4, 2e-2)
    zero_start = False  # the product is zero up to rounding
    quantised_base = False  # its start is made from the weight

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        return {**super().peft_fields(settings, layers, shapes), "init_lora_weights": "orthogonal"}
