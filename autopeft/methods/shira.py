"""SHiRA: as many randomly chosen entries of each weight are trained as LoRA would train numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.hook_check import without_memory
from autopeft.methods.mechanisms.linears_only import LinearsOnly
from autopeft.methods.mechanisms.method import TARGETS, Settings

if TYPE_CHECKING:
    from peft import PeftModel

    from autopeft.methods.mechanisms.statistics import Statistics


class Shira(LinearsOnly):
    """r (in + out) entries of each weight at places drawn once, the same in all modules of a size."""

    name = "shira"
    title = "SHiRA"
    family = "sparse"
    paper = "Bhardwaj et al. 2024, arXiv 2406.13175"
    hyperparameters = {"rank": (1, 2, 4, 8, 16, 32), "target_modules": TARGETS}
    defaults = {"rank": 8, "target_modules": "query+value"}
    learning_rate = (3e-4, 3e-2)
    mergeable = True
    bypasses_linear = True
    packable = False  # sparse tensors, which vmap cannot take

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        rank, chosen = entries(settings, layers, shapes)
        return {x.path: rank * (x.in_features + x.out_features) for x in chosen}

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        rank, chosen = entries(settings, layers, shapes)
        return {
            "peft_type": "SHIRA",
            "r": rank,
            "mask_type": "random",
            "random_seed": 0,
            "target_modules": [x.path for x in chosen],
        }

    @override
    def after_attach(
        self, model: PeftModel, settings: Settings, layers: tuple[int, ...], statistics: Statistics | None, seed: int
    ) -> None:
        import torch
        from peft.tuners.shira import layer

        without_memory(layer)
        torch.sparse.check_sparse_tensor_invariants.disable()  # the default; torch warns unless it is said


def entries(settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> tuple:
    """The rank, such that no chosen linear has fewer entries than r (in + out); and these linears."""
    chosen = shapes.select(settings["target_modules"], layers)
    room = [x.in_features * x.out_features // (x.in_features + x.out_features) for x in chosen]
    return min([settings["rank"], *room]), chosen
