"""MiCA: LoRA writes into the smallest singular directions of a weight, and only A is trained."""

from __future__ import annotations

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.decomposed import Decomposed
from autopeft.methods.mechanisms.method import Settings


class Mica(Decomposed):
    """B is the r left singular vectors of the smallest singular values, frozen; A starts at zero."""

    name = "mica"
    title = "MiCA"
    family = "low rank"
    paper = "2026, arXiv 2604.01694"
    learning_rate = (1e-4, 2e-2)
    init = "mica"

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        return {
            x.path: self.rank(settings, x) * x.in_features for x in shapes.select(settings["target_modules"], layers)
        }
