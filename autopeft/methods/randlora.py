"""RandLoRA: a full-rank sum of frozen random products, scaled by trained diagonals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.method import TARGETS, Method, Settings
from autopeft.methods.mechanisms.work import Place, Work

if TYPE_CHECKING:
    import torch


SCALE = 20  # alpha / r, as in the paper's code


class Randlora(Method):
    """dW = sum_j B_j diag(lambda_j) A diag(gamma_j), j to ceil(min(in, out) / r); A and B_j are shared and frozen.

    The larger the rank, the fewer products and trained numbers. The random matrices are saved with the adapter.
    """

    name = "randlora"
    title = "RandLoRA"
    family = "low rank"
    paper = "Albert et al. 2025, arXiv 2502.00987"
    hyperparameters = {"rank": (8, 16, 32, 64, 128), "target_modules": TARGETS}
    defaults = {"rank": 32, "target_modules": "query+value"}
    learning_rate = (1e-4, 2e-2)
    mergeable = True
    packable = False  # its scaling is an autograd function that vmap cannot take

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        def number(x: torch.Tensor) -> int:
            smaller = min(x.in_features, x.out_features)
            return -(-smaller // settings["rank"]) * (settings["rank"] + smaller)

        return {x.path: number(x) for x in shapes.select(settings["target_modules"], layers)}

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        return {
            "peft_type": "RANDLORA",
            "r": settings["rank"],
            "randlora_alpha": SCALE * settings["rank"],
            "projection_prng_key": 0,
            "save_projection": True,
            "target_modules": [x.path for x in shapes.select(settings["target_modules"], layers)],
        }

    @override
    def refuses_company(self, other: str) -> str | None:
        return "RandLoRA shares its random matrices between all modules of a model: leave randlora out"

    @override
    def work(self, settings: Settings, place: Place) -> Work:
        """The smaller side's factor is the trained one; it comes first where the linear widens."""
        smaller = min(place.inputs, place.outputs)
        width = -(-smaller // settings["rank"]) * settings["rank"]
        first, second = (2 * place.tokens * width * n for n in (place.inputs, place.outputs))
        scaling = 4 * width * smaller
        scaled, hidden = width * smaller, width * place.tokens
        if place.inputs <= place.outputs:
            return Work(first + second, first + second + scaling, first, scaled)
        return Work(first + second, second + scaling, first + second, scaled + hidden, keeps_input=False)

    @override
    def stored(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        chosen = shapes.select(settings["target_modules"], layers)
        smaller, larger = sorted((max(x.in_features for x in chosen), max(x.out_features for x in chosen)))
        bases, copies = -(-smaller // settings["rank"]), len(chosen) + 1  # every module's, and the model's
        return {"random matrices": 4 * copies * settings["rank"] * (smaller + bases * larger)}

    @override
    def frozen_bytes(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> int:
        """All modules share one pair in memory, which a file holds once for each."""
        copies = len(shapes.select(settings["target_modules"], layers)) + 1
        return super().frozen_bytes(settings, layers, shapes) // copies
