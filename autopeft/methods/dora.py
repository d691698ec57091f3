"""DoRA: LoRA moves the direction of each row of a weight, a trained magnitude its length."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.lora import Lora
from autopeft.methods.mechanisms.method import Settings


class Dora(Lora):
    """W' = m (W + B A) / ||W + B A|| row by row: LoRA and a magnitude m (o,), eq. 5 of the paper."""

    name = "dora"
    title = "DoRA"
    family = "low rank"
    paper = "Liu et al. 2024, arXiv 2402.09353"
    learning_rate = (5e-5, 1e-2)  # the authors advise to start a little below LoRA's

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        magnitudes = {x.path: x.out_features for x in shapes.select(settings["target_modules"], layers)}
        return {path: number + magnitudes[path] for path, number in super().count(settings, layers, shapes).items()}

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        return {**super().peft_fields(settings, layers, shapes), "use_dora": True}
