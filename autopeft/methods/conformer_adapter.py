"""Conformer adapter: a bottleneck with a convolution along the tokens, beside each block."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.method import Method, Settings
from autopeft.methods.mechanisms.work import Place, Work


class ConformerAdapter(Method):
    """Trains a bottleneck of width b with a depthwise convolution of k tokens and norms of its own in each block."""

    name = "conformer_adapter"
    title = "Conformer adapter"
    family = "adapter"
    paper = "Cappellazzo et al. 2023, arXiv 2312.03694"
    hyperparameters = {"bottleneck": (2, 4, 8, 16, 32, 64), "kernel_size": (3, 7, 15)}
    defaults = {"bottleneck": 8, "kernel_size": 7}
    learning_rate = (1e-4, 1e-2)
    quantised_base = True

    @override
    def refuses(self, shapes: BackboneShapes) -> str | None:
        return (
            "a convolution along the tokens would show a decoder the tokens it is to predict"
            if shapes.decoder_path
            else None
        )

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        """3 b H + 5 b + b k + 3 H a layer: two norms, two pointwise maps and the depthwise kernel."""
        width, b, k = shapes.hidden_size, settings["bottleneck"], settings["kernel_size"]
        return {shapes.block(layer): 3 * b * width + 5 * b + b * k + 3 * width for layer in layers}

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        return {
            "peft_type": "CONFORMER_ADAPTER",
            "bottleneck": settings["bottleneck"],
            "hidden_size": shapes.hidden_size,
            "kernel_size": settings["kernel_size"],
            "causal": shapes.is_decoder,
            "target_modules": [shapes.block(layer) for layer in layers],
        }

    @override
    def work(self, settings: Settings, place: Place) -> Work:
        """Two pointwise maps behind a trained norm, so both inputs need gradients; the convolution's windows are kept."""
        b, width = settings["bottleneck"], place.inputs
        into, out = 4 * place.tokens * width * b, 2 * place.tokens * width * b
        saved = place.tokens * (width + 2 * b + 2 * b * settings["kernel_size"] // 3)
        return Work(into + out, 2 * into + 2 * out, 0, saved, keeps_input=False)
