"""CorDA: LoRA starts at the components of a weight that matter most, or least, to the task's inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.method import TARGETS, Method, Settings

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel
    from torch import nn

    from autopeft.methods.mechanisms.statistics import Statistics


class Corda(Method):
    """W = U S V^T C^-1 from the SVD of W C, where C is the covariance of the module's inputs on the task's texts.

    mode ipm trains the r largest components (instruction-previewed: it learns fast), kpm the r smallest
    (knowledge-preserved: what the inputs use most stays frozen). Where peft subtracts the start B0 A0 from the frozen
    weight, and an adapter cannot be loaded without it, ours keeps B0 A0 beside the adapter and subtracts it from the
    output: the same function, an exact start, and a weight that stays as it was.
    """

    name = "corda"
    title = "CorDA"
    family = "low rank"
    paper = "Yang et al. 2024, arXiv 2406.05223"
    hyperparameters = {"rank": (1, 2, 4, 8, 16, 32, 64), "target_modules": TARGETS, "mode": ("ipm", "kpm")}
    defaults = {"rank": 8, "target_modules": "query+value", "mode": "ipm"}
    learning_rate = (2e-5, 5e-3)
    mergeable = True
    needs_statistics = True

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        return {
            x.path: min(settings["rank"], x.in_features, x.out_features) * (x.in_features + x.out_features)
            for x in shapes.select(settings["target_modules"], layers)
        }

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        return {
            "peft_type": "CORDA",
            "r": settings["rank"],
            "target_modules": [x.path for x in shapes.select(settings["target_modules"], layers)],
        }

    @override
    def before_attach(
        self,
        model: nn.Module,
        config: PeftConfig,
        settings: Settings,
        layers: tuple[int, ...],
        statistics: Statistics | None,
    ) -> None:
        assert statistics is not None  # attach gives them to a method that needs them
        statistics.covariance(statistics.backbone.shapes.linears[0].path)  # all are observed, with nothing attached

    @override
    def after_attach(
        self, model: PeftModel, settings: Settings, layers: tuple[int, ...], statistics: Statistics | None, seed: int
    ) -> None:
        from autopeft.methods.tuners.corda import components, corda_layers

        assert statistics is not None  # attach gives them to a method that needs them
        largest = max(self.hyperparameters["rank"])
        for path, layer in corda_layers(model):
            layer.start_at(*components(statistics, path, layer.weight_out_in(), largest)[settings["mode"]])
