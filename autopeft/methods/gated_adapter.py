"""A serial adapter behind a gate, as one of UniPELT's three parts."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.method import Settings
from autopeft.methods.serial_adapter import SerialAdapter


class GatedAdapter(SerialAdapter):
    """Each adapter has a gate that its input opens and closes, token by token: H + 1 numbers more."""

    name = "gated_adapter"
    title = "gated serial adapter (UniPELT)"
    family = "adapter"
    paper = "Mao et al. 2021, arXiv 2110.07577"

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        counts = super().count(settings, layers, shapes)
        return {path: number + shapes.hidden_size + 1 for path, number in counts.items()}

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        return {**super().peft_fields(settings, layers, shapes), "peft_type": "GATED_ADAPTER"}
