"""Polyhistor-Lite: adapters of all layers from one shared template, scaled by a small kernel each."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.method import Method, Settings


class Polyhistor(Method):
    """The templates are counted, and held, in the lowest chosen layer."""

    name = "polyhistor"
    title = "Polyhistor-Lite"
    family = "adapter"
    paper = "Liu et al. 2022, arXiv 2210.03265"
    hyperparameters = {"bottleneck": (8, 16, 32, 64), "kernel_size": (2, 4, 8)}
    defaults = {"bottleneck": 32, "kernel_size": 4}
    learning_rate = (3e-4, 3e-2)

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        """Two kernels k^2 a layer, and once two templates of ceil(b/k) ceil(H/k)."""
        k = settings["kernel_size"]
        counts = {shapes.block(layer): 2 * k * k for layer in layers}
        counts[self.owner(layers, shapes)] += 2 * -(-settings["bottleneck"] // k) * -(-shapes.hidden_size // k)
        return counts

    def owner(self, layers: tuple[int, ...], shapes: BackboneShapes) -> str:
        """The block that holds the templates: the lowest adapted one."""
        return shapes.block(min(layers))

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        return {
            "peft_type": "POLYHISTOR",
            "bottleneck": settings["bottleneck"],
            "hidden_size": shapes.hidden_size,
            "kernel_size": settings["kernel_size"],
            "owner": self.owner(layers, shapes),
            "target_modules": [shapes.block(layer) for layer in layers],
        }
