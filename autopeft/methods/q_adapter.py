"""Q-Adapter: learned queries gather the text in a bottleneck and a gate lets it into every token."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.method import Method, Settings
from autopeft.methods.serial_adapter import bottleneck_parameters


class QAdapter(Method):
    """The paper's formulas were not available: they are our own reading (see the tuner)."""

    name = "q_adapter"
    title = "Q-Adapter"
    family = "adapter"
    paper = "Chen et al. 2025, arXiv 2510.10022"
    hyperparameters = {"bottleneck": (2, 4, 8, 16, 32, 64), "query_tokens": (1, 4, 16)}
    defaults = {"bottleneck": 8, "query_tokens": 4}
    learning_rate = (1e-4, 1e-2)

    @override
    def refuses(self, shapes: BackboneShapes) -> str | None:
        if shapes.decoder_path:
            return "a Q-Adapter's queries would show a decoder the tokens it is to predict"
        if not shapes.is_decoder:
            return None
        return f"a Q-Adapter's queries read the whole text, which {shapes.model_type} shows to its last token only"

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        """A bottleneck, n queries of its width b, and a gate of H + 1."""
        width, b = shapes.hidden_size, settings["bottleneck"]
        each = bottleneck_parameters(width, b) + settings["query_tokens"] * b + width + 1
        return {shapes.block(layer): each for layer in layers}

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        return {
            "peft_type": "Q_ADAPTER",
            "bottleneck": settings["bottleneck"],
            "hidden_size": shapes.hidden_size,
            "query_tokens": settings["query_tokens"],
            "target_modules": [shapes.block(layer) for layer in layers],
        }
