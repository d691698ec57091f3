"""The linear probe: the task head alone is trained."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.method import Method, Settings


class HeadOnly(Method):
    """Trains nothing of the backbone, so it adapts no layer and counts 0; the learning rate is the head's."""

    name = "head_only"
    title = "head only (linear probe)"
    family = "full"
    paper = "Alain & Bengio 2016, arXiv 1610.01644"
    learning_rate = (1e-4, 5e-2)
    quantised_base = True
    layers = "none"
    mergeable = True

    @override
    def refuses(self, shapes: BackboneShapes) -> str | None:
        return None if shapes.head_modules else "the task has no head of its own, so nothing would be trained"

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        return {}

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        return {"peft_type": "SELECTED", "target_modules": []}
