"""A prefix behind a gate, as one of UniPELT's three parts."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.method import Settings
from autopeft.methods.prefix_tuning import PrefixTuning
from autopeft.tasks.kind import get_kind


class GatedPrefix(PrefixTuning):
    """Each layer's keys and values are multiplied by a gate that the text opens and closes: H + 1 numbers more."""

    name = "gated_prefix"
    title = "gated prefix (UniPELT)"
    family = "prompt"
    paper = "Mao et al. 2021, arXiv 2110.07577"

    @override
    def refuses(self, shapes: BackboneShapes) -> str | None:
        if not get_kind(shapes.task).new_head:
            return "its gate reads the whole text, the tokens to predict included"
        return super().refuses(shapes)

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        counts = super().count(settings, layers, shapes)
        return {path: number + shapes.hidden_size + 1 for path, number in counts.items()}

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        return self.part_fields(settings, layers, shapes)

    @override
    def part_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        fields = super().part_fields(settings, layers, shapes)
        return {**fields, "peft_type": "GATED_PREFIX", "hidden_size": shapes.hidden_size}
