"""(IA)^3: trained vectors rescale keys, values and the hidden units of the feed-forward part."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.method import Method, Settings


class Ia3(Method):
    """One factor per output of a linear; for ffn_out one per input, which is the feed-forward part's hidden unit.

    Where query, key and value are one linear, its whole output is rescaled, the queries with it.
    """

    name = "ia3"
    title = "(IA)^3"
    family = "very few numbers"
    paper = "Liu et al. 2022, arXiv 2205.05638"
    hyperparameters = {"target_modules": ("ffn_out", "key+value", "key+value+ffn_out")}
    defaults = {"target_modules": "key+value+ffn_out"}
    learning_rate = (1e-3, 1e-1)
    mergeable = True

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        return {
            x.path: x.in_features if x.role == "ffn_out" else x.out_features
            for x in shapes.select(settings["target_modules"], layers)
        }

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        chosen = shapes.select(settings["target_modules"], layers)
        return {
            "peft_type": "IA3",
            "target_modules": [x.path for x in chosen],
            "feedforward_modules": [x.path for x in chosen if x.role == "ffn_out"],
        }
