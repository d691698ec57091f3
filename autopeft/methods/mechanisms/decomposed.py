"""LoRA on factors that are read off a decomposition of the weight itself."""

from __future__ import annotations

from typing import Any, ClassVar

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes, Linear
from autopeft.methods.mechanisms.method import TARGETS, Method, Settings


class Decomposed(Method):
    """A matrix has min(in, out) components: where that is less than the rank, all of them but `spare` are taken."""

    hyperparameters = {"rank": (1, 2, 4, 8, 16, 32, 64), "target_modules": TARGETS}
    defaults = {"rank": 8, "target_modules": "query+value"}
    mergeable = True
    init: ClassVar[str | bool]  # peft's init_lora_weights
    spare: ClassVar[int] = 0
    alpha: ClassVar[int | None] = None  # None: alpha is the rank, the factors enter as they are

    def rank(self, settings: Settings, linear: Linear) -> int:
        """The rank in a linear, which is no larger than its smaller side less what has to stay."""
        return min(settings["rank"], min(linear.in_features, linear.out_features) - self.spare)

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        return {
            x.path: self.rank(settings, x) * (x.in_features + x.out_features)
            for x in shapes.select(settings["target_modules"], layers)
        }

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        chosen = shapes.select(settings["target_modules"], layers)
        smaller = {x.path: self.rank(settings, x) for x in chosen if self.rank(settings, x) < settings["rank"]}
        return {
            "peft_type": "LORA",
            "r": settings["rank"],
            "lora_alpha": self.alpha or settings["rank"],
            "init_lora_weights": self.init,
            "rank_pattern": smaller,
            "alpha_pattern": {} if self.alpha else smaller,
            "target_modules": [x.path for x in chosen],
        }
