"""DSEE: low-rank and sparse updates of the same linear, the sparse one where no low rank reaches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.lift import low_rank
from autopeft.methods.mechanisms.method import Settings
from autopeft.methods.mechanisms.sparse import Sparse
from autopeft.methods.mechanisms.work import Place, Work, chain, joined

if TYPE_CHECKING:
    import torch

    from autopeft.methods.mechanisms.statistics import Statistics


ROUNDS = 3  # of the decomposition of the pre-trained weight into low rank and sparse


class Dsee(Sparse):
    """dW = s B A + D: D is sparse, and trains where a decomposition of the weight leaves its largest residuals.

    `pruned` is the share of each adapted weight, its smallest entries, that is set to zero before training (the paper
    trains once more after it): for inference on hardware that skips zeros. A model that loads the adapter is pruned
    alike, and a search undoes it after every trial.
    """

    name = "dsee"
    title = "DSEE"
    family = "sparse"
    paper = "Chen et al. 2021, arXiv 2111.00160"
    hyperparameters = {"rank": (1, 2, 4, 8, 16, 32), **Sparse.hyperparameters, "pruned": (0.0, 0.1, 0.2)}
    defaults = {"rank": 8, "density": 0.001, "target_modules": "query+value", "pruned": 0.0}
    absent = {"pruned": 0.0}
    rewrites_base = True  # and yet starts as the base model where nothing is pruned

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        sparse = super().count(settings, layers, shapes)
        chosen = shapes.select(settings["target_modules"], layers)
        return {x.path: sparse[x.path] + settings["rank"] * (x.in_features + x.out_features) for x in chosen}

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        own = {"peft_type": "DSEE", "rank": settings["rank"], "pruned": settings.get("pruned", 0.0)}
        return {**super().peft_fields(settings, layers, shapes), **own}

    @override
    def scores(
        self,
        path: str,
        weight: torch.Tensor,
        settings: Settings,
        statistics: Statistics | None,
        generator: torch.Generator,
    ) -> torch.Tensor:
        from autopeft.methods.mechanisms.sparse import trained_entries
        from autopeft.methods.mechanisms.sparse_product import dense, top

        weight, number = weight.float(), trained_entries(settings["density"], weight.numel())
        sparse = weight * 0
        for _ in range(ROUNDS):  # alternately the best low rank beside the sparse part and the other way round
            rest = weight - low_rank(weight - sparse, settings["rank"])
            places = top(rest.abs(), number)
            sparse = dense(rest.flatten()[places], places, weight.shape)
        return rest.abs()

    @override
    def work(self, settings: Settings, place: Place) -> Work:
        low_rank = chain(place.tokens, place.inputs, settings["rank"], place.outputs)
        return joined(super().work(settings, place), low_rank)

    @override
    def stored(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        return {"indices": 4 * sum(super().count(settings, layers, shapes).values())}
