"""BitFit: only the biases of the chosen layers are trained."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.method import Method, Settings


class BitFit(Method):
    """b + db for every bias of the adapted blocks, db starting at zero."""

    name = "bitfit"
    title = "BitFit"
    family = "very few numbers"
    paper = "Ben Zaken et al. 2021, arXiv 2106.10199"
    learning_rate = (1e-4, 2e-2)
    mergeable = True

    @override
    def refuses(self, shapes: BackboneShapes) -> str | None:
        return None if shapes.biases else f"{shapes.name} has no biases to train"

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        return {x.path: x.size for x in shapes.biases if x.layer in layers}

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        return {"peft_type": "BITFIT", "target_modules": [x.path for x in shapes.biases if x.layer in layers]}
