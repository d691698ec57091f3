"""Parallel adapters: FFN(x) + s * (W_up relu(W_down x + b) + b'), a small MLP beside each FFN."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.method import Method, Settings
from autopeft.methods.mechanisms.work import Place, Work, chain
from autopeft.methods.serial_adapter import bottleneck_parameters


class ParallelAdapter(Method):
    """Adds s * (W_up relu(W_down x + b_down) + b_up) to the output of each FFN, x being its input (He et al. 2021, eq. 8)."""

    name = "parallel_adapter"
    title = "parallel adapter"
    family = "adapter"
    paper = "He et al. 2021, arXiv 2110.04366"
    hyperparameters = {"bottleneck": (1, 2, 4, 8, 16, 32, 64, 128), "scaling": (1.0, 4.0)}
    defaults = {"bottleneck": 8, "scaling": 4.0}
    learning_rate = (1e-4, 1e-2)
    quantised_base = True

    def pairs(self, layers: tuple[int, ...], shapes: BackboneShapes) -> list[list[str]]:
        """[first, last] linear of the FFN of each layer: its input is the first's, its output the last's."""
        path = {(x.layer, x.role): x.path for x in shapes.linears}
        return [[path[layer, "ffn_in"], path[layer, "ffn_out"]] for layer in layers]

    @override
    def refuses(self, shapes: BackboneShapes) -> str | None:
        if {"ffn_in", "ffn_out"} <= set(shapes.roles):
            return None
        return f"a parallel adapter needs a feed-forward network in every block, and {shapes.name} shows none"

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        each = bottleneck_parameters(shapes.hidden_size, settings["bottleneck"])
        return {last: each for _, last in self.pairs(layers, shapes)}

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        pairs = self.pairs(layers, shapes)
        return {
            "peft_type": "PARALLEL_ADAPTER",
            "bottleneck": settings["bottleneck"],
            "hidden_size": shapes.hidden_size,
            "scaling": settings["scaling"],
            "pairs": pairs,
            "target_modules": [path for pair in pairs for path in pair],
        }

    @override
    def work(self, settings: Settings, place: Place) -> Work:
        inside = chain(place.tokens, place.outputs, settings["bottleneck"], place.outputs)
        return replace(inside, saved=inside.saved + place.tokens * place.outputs, keeps_input=False)
