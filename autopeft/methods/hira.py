"""HiRA: a linear's weight is multiplied, entry by entry, by one plus a low-rank matrix."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.low_rank import LowRank
from autopeft.methods.mechanisms.method import TARGETS, Settings


class Hira(LowRank):
    """W' = W * (1 + B A): an update of high rank from low-rank factors. B starts at zero."""

    name = "hira"
    title = "HiRA"
    family = "low rank"
    paper = "Huang et al. 2025, openreview TwJrTz9cRS (ICLR 2025)"
    hyperparameters = {"rank": (1, 2, 4, 8, 16, 32, 64), "target_modules": TARGETS}
    defaults = {"rank": 16, "target_modules": "query+value"}
    learning_rate = (5e-4, 1e-1)  # the update is scaled by the entries of W, which are a few hundredths

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        return {
            "peft_type": "HIRA",
            "r": settings["rank"],
            "target_modules": [x.path for x in shapes.select(settings["target_modules"], layers)],
        }
