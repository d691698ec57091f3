"""SHiRA: as many randomly chosen entries of each weight are trained as LoRA would train numbers. Imports no torch."""

from collections.abc import Mapping
from dataclasses import replace

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.hook_check import without_memory
from autopeft.methods.mechanisms.linears_only import LinearsOnly
from autopeft.methods.mechanisms.method import TARGETS
from autopeft.methods.mechanisms.work import Place, Work, weight_gradient


class Shira(LinearsOnly):
    """r (in + out) entries of each weight at places drawn once, the same in all modules of a size."""

    name = "shira"
    title = "SHiRA"
    paper = "Bhardwaj et al. 2024, arXiv 2406.13175"
    hyperparameters = {"rank": (1, 2, 4, 8, 16, 32), "target_modules": TARGETS}
    defaults = {"rank": 8, "target_modules": "query+value"}
    learning_rate = (3e-4, 3e-2)
    mergeable = True
    bypasses_linear = True
    packable = False  # sparse tensors, which vmap cannot take

    def count(self, settings, layers, shapes):
        rank, chosen = entries(settings, layers, shapes)
        return {x.path: rank * (x.in_features + x.out_features) for x in chosen}

    def peft_fields(self, settings, layers, shapes):
        rank, chosen = entries(settings, layers, shapes)
        return {
            "peft_type": "SHIRA",
            "r": rank,
            "mask_type": "random",
            "random_seed": 0,
            "target_modules": [x.path for x in chosen],
        }

    def after_attach(self, model, settings, layers, statistics, seed):
        import torch
        from peft.tuners.shira import layer

        without_memory(layer)
        torch.sparse.check_sparse_tensor_invariants.disable()  # the default; torch warns unless it is said

    @override
    def work(self, settings: Mapping, place: Place) -> Work:
        return weight_gradient(replace(place, weight_bytes=4))

    @override
    def stored(self, settings: Mapping, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        return {"indices": 8 * sum(self.count(settings, layers, shapes).values())}


def entries(settings, layers, shapes) -> tuple:
    """The rank, such that no chosen linear has fewer entries than r (in + out); and these linears."""
    chosen = shapes.select(settings["target_modules"], layers)
    room = [x.in_features * x.out_features // (x.in_features + x.out_features) for x in chosen]
    return min([settings["rank"], *room]), chosen
