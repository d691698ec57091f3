"""Sparse deltas: k numbers at k places of each adapted weight are trained. A subclass says which."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.method import TARGETS, Method, Settings
from autopeft.methods.mechanisms.work import Place, Work, weight_gradient

if TYPE_CHECKING:
    import torch
    from peft import PeftModel

    from autopeft.methods.mechanisms.statistics import Statistics


def trained_entries(density: float, numbers: int) -> int:
    """How many of a weight's numbers are trained: its share, and at least one."""
    return max(1, round(density * numbers))


def among_largest(scores: dict, number: int) -> dict[str, int]:
    """Path -> scores (n,): path -> how many of the `number` largest of all lie in it."""
    import torch

    pooled = torch.cat(list(scores.values()))
    chosen = pooled.topk(min(number, len(pooled))).indices
    ends = torch.tensor([len(x) for x in scores.values()], device=chosen.device).cumsum(0)
    found = torch.bucketize(chosen, ends, right=True).bincount(minlength=len(scores))
    return dict(zip(scores, found.tolist()))


class Sparse(Method):
    """The same share of every adapted weight: the entries that `scores` puts highest."""

    hyperparameters = {"density": (0.001, 0.003, 0.01, 0.03, 0.1), "target_modules": TARGETS}
    defaults = {"density": 0.01, "target_modules": "all-linear"}
    # Papers with thousands of steps use 1e-5 to 2e-4; of some hundred steps each has to go further.
    learning_rate = (1e-4, 1e-2)
    mergeable = True
    bypasses_linear = True

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        return {
            x.path: trained_entries(settings["density"], x.in_features * x.out_features)
            for x in shapes.select(settings["target_modules"], layers)
        }

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        return {
            "peft_type": "SPARSE",
            "density": settings["density"],
            "target_modules": [x.path for x in shapes.select(settings["target_modules"], layers)],
        }

    @override
    def after_attach(
        self, model: PeftModel, settings: Settings, layers: tuple[int, ...], statistics: Statistics | None, seed: int
    ) -> None:
        import torch

        from autopeft.methods.mechanisms.sparse_product import top
        from autopeft.methods.tuners.sparse import ADAPTER, sparse_layers

        generator = torch.Generator().manual_seed(seed)
        for path, layer in sparse_layers(model).items():
            scores = self.scores(path, layer.get_base_layer().weight.detach(), settings, statistics, generator)
            layer.select(ADAPTER, top(scores, layer.sparse_values[ADAPTER].numel()))

    def scores(
        self,
        path: str,
        weight: torch.Tensor,
        settings: Settings,
        statistics: Statistics | None,
        generator: torch.Generator,
    ) -> torch.Tensor:
        """Score each entry of a weight: the largest are trained.

        Args:
            path: of the linear.
            weight: its weight, in its own layout.
            settings: a value for each of `hyperparameters`.
            statistics: what the method reads off the task's data, if it reads any.
            generator: of whatever is drawn.

        Returns:
            Scores of the weight's shape.
        """
        raise NotImplementedError

    @override
    def work(self, settings: Settings, place: Place) -> Work:
        return weight_gradient(place)

    @override
    def stored(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        return {"indices": 4 * sum(self.count(settings, layers, shapes).values())}
