"""VB-LoRA: LoRA's factors are put together from the vectors of one bank that all modules share."""

from __future__ import annotations

import math
from typing import Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.method import TARGETS, Method, Settings

LONGEST = 256  # vector length, as in the paper
SHORTEST = 8  # below it the choice of vectors costs more than the vectors


class Vblora(Method):
    """Each run of b entries of A and B is a mixture of two vectors of the bank, the two with the largest logits.

    b is the largest number that divides every width and is at most 256. Trained are the bank and all logits; of
    the logits only the largest two and their places need to be kept afterwards.
    """

    name = "vblora"
    title = "VB-LoRA"
    family = "very few numbers"
    paper = "Li et al. 2024, arXiv 2405.15179"
    hyperparameters = {"rank": (2, 4, 8), "num_vectors": (32, 90, 256), "target_modules": TARGETS}
    defaults = {"rank": 4, "num_vectors": 90, "target_modules": "query+value"}
    learning_rate = (1e-3, 5e-2)  # the paper: 1e-3 for the bank, 1e-2 for the logits
    zero_start = False
    mergeable = True

    @override
    def refuses(self, shapes: BackboneShapes) -> str | None:
        if vector_length(shapes) < SHORTEST:
            return f"the widths of {shapes.name} have no common divisor from {SHORTEST} to {LONGEST}"
        return None

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        length, number = vector_length(shapes), settings["num_vectors"]
        logits = {
            x.path: settings["rank"] * (x.in_features + x.out_features) // length * number
            for x in shapes.select(settings["target_modules"], layers)
        }
        bank = dict.fromkeys(list(logits)[:1], number * length)  # it lies in the first module
        return {path: count + bank.get(path, 0) for path, count in logits.items()}

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        return {
            "peft_type": "VBLORA",
            "r": settings["rank"],
            "num_vectors": settings["num_vectors"],
            "vector_length": vector_length(shapes),
            "target_modules": [x.path for x in shapes.select(settings["target_modules"], layers)],
        }

    @override
    def refuses_company(self, other: str) -> str | None:
        return "VB-LoRA shares its vectors between all modules of a model: leave vblora out"


def vector_length(shapes: BackboneShapes) -> int:
    """The largest number up to 256 that divides the inputs and outputs of every linear."""
    common = math.gcd(*(size for x in shapes.linears for size in (x.in_features, x.out_features)))
    return max(d for d in range(1, LONGEST + 1) if common % d == 0)
