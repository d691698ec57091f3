"""LN tuning: only the norms of the chosen blocks are trained."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.method import Method, Settings


class LnTuning(Method):
    """Trains copies of the gains and biases of the norms in the adapted blocks."""

    name = "ln_tuning"
    title = "LN tuning"
    family = "very few numbers"
    paper = "Zhao et al. 2023, arXiv 2312.11420"
    learning_rate = (3e-4, 3e-2)
    mergeable = True

    @override
    def refuses(self, shapes: BackboneShapes) -> str | None:
        return None if shapes.norms else f"{shapes.name} has no norms with weights to train"

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        return {x.path: x.size for x in shapes.norms if x.layer in layers}

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        return {"peft_type": "LN_TUNING", "target_modules": [x.path for x in shapes.norms if x.layer in layers]}
