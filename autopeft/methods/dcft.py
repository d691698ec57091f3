"""DCFT: a linear's update is a rank-k map between blocks of d features times one d x d kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.method import TARGETS, Method, Settings
from autopeft.methods.mechanisms.work import Place, Work

if TYPE_CHECKING:
    import torch
    from peft import PeftModel


class Dcft(Method):
    """dW = scale (B A) kron C, cut to (o, i): A (k, ceil(i/d)), B (ceil(o/d), k), kernel C (d, d), k the rank.

    The reference code's scale is lora_alpha / lora_r: 16, 10.7, 8 and 5.3 in its scripts for DeBERTaV3-base, the model
    of the paper's table, and mostly 4 or 2 in those for larger models.
    """

    name = "dcft"
    title = "DCFT"
    family = "very few numbers"
    paper = "Zhang et al. 2025, arXiv 2503.01419"
    hyperparameters = {
        "kernel_size": (2, 4, 6, 8, 12, 16),
        "rank": (1, 2, 4),
        "target_modules": TARGETS,
        "init": ("zero", "paper"),
        "orthogonality": (0.0, 0.1),
        "scale": (2.0, 8.0, 16.0),
    }
    defaults = {
        "kernel_size": 8,
        "rank": 1,
        "target_modules": "all-linear",
        "init": "zero",
        "orthogonality": 0.0,
        "scale": 16.0,
    }
    absent = {"scale": 2.0}
    # The paper uses 5e-4 to 2.2e-3 over thousands of steps. In 96 steps on MiniLM-L6 the best rate is 1e-3 to 3e-3 at
    # scale 16, 1e-2 at scale 2, and three times the best one ends near chance (docs/numbers.md).
    learning_rate = (1e-4, 2e-2)
    quantised_base = True
    mergeable = True

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        k, d = settings["rank"], settings["kernel_size"]
        return {
            x.path: k * (-(-x.out_features // d) + -(-x.in_features // d)) + d * d
            for x in shapes.select(settings["target_modules"], layers)
        }

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        return {
            "peft_type": "DCFT",
            "rank": settings["rank"],
            "kernel_size": settings["kernel_size"],
            "alpha": 8 * settings.get("scale", self.absent["scale"]),  # the tuner divides by 8
            "init": settings["init"],
            "orthogonality": settings["orthogonality"],
            "target_modules": [x.path for x in shapes.select(settings["target_modules"], layers)],
        }

    @override
    def extra_loss(self, model: PeftModel, settings: Settings) -> torch.Tensor | None:
        gamma = settings["orthogonality"]
        if not gamma:
            return None
        from autopeft.methods.tuners.dcft import orthogonality

        return gamma * orthogonality(model)

    @override
    def work(self, settings: Settings, place: Place) -> Work:
        k, d = settings["rank"], settings["kernel_size"]
        blocks_in, blocks_out = -(-place.inputs // d), -(-place.outputs // d)
        into = 2 * place.tokens * k * d * blocks_in
        forward = into + 2 * place.tokens * k * d * (d + blocks_out)
        return Work(
            forward,
            2 * forward - into,
            into,
            place.tokens * (place.inputs + 2 * k * d),
            keeps_input=False,  # a copy in another order is kept
        )
