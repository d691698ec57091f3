"""What LoRA and its like count: two thin factors for every chosen linear."""

from __future__ import annotations

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.method import Method, Settings


class LowRank(Method):
    """A (r, i) and B (o, r), or blocks of as many numbers; settings rank and target_modules."""

    mergeable = True

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        return {
            x.path: settings["rank"] * (x.in_features + x.out_features)
            for x in shapes.select(settings["target_modules"], layers)
        }
