"""Super-Tuning: the largest or the smallest entries of each weight are trained."""

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


class Supertuning(LinearsOnly):
    """The same share of every weight; "smallest" is PaFi's choice, which leaves what the weight does most alone."""

    name = "supertuning"
    title = "Super-Tuning, PaFi"
    family = "sparse"
    paper = "arXiv 2607.09287 (2026); PaFi: Liao et al. 2023, arXiv 2305.16742"
    hyperparameters = {
        "density": (0.003, 0.01, 0.03, 0.1),
        "entries": ("largest", "smallest"),
        "target_modules": TARGETS,
    }
    defaults = {"density": 0.01, "entries": "largest", "target_modules": "all-linear"}
    learning_rate = (1e-4, 1e-2)
    mergeable = True
    bypasses_linear = True

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        share = 1 - sparsity(settings)  # in peft's own steps, since it cuts the product to an integer
        return {
            x.path: int(x.in_features * x.out_features * share)
            for x in shapes.select(settings["target_modules"], layers)
        }

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        return {
            "peft_type": "SUPERTUNING",
            "sparsity": sparsity(settings),
            "select_top": settings["entries"] == "largest",
            "target_modules": [x.path for x in shapes.select(settings["target_modules"], layers)],
        }

    @override
    def after_attach(
        self, model: PeftModel, settings: Settings, layers: tuple[int, ...], statistics: Statistics | None, seed: int
    ) -> None:
        from peft.tuners.supertuning import layer

        without_memory(layer)


def sparsity(settings: Settings) -> float:
    """The share of a weight that is not trained, as peft states it."""
    return round(1 - settings["density"], 6)
