"""VQT: trained queries read each layer's keys and values, and only the head sees what they read."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.method import Method, Settings


class Vqt(Method):
    """The map of what was read into the head's input is counted, and held, in the highest chosen layer."""

    name = "vqt"
    title = "visual query tuning"
    family = "prompt"
    paper = "Tu et al. 2022, arXiv 2212.03220"
    hyperparameters = {"query_tokens": (1, 4, 16)}
    defaults = {"query_tokens": 1}
    learning_rate = (2e-4, 2e-2)
    inside_attention = True
    repeatable = False

    @override
    def refuses(self, shapes: BackboneShapes) -> str | None:
        if shapes.is_decoder:
            return f"VQT's queries read the whole text, which {shapes.model_type} shows to its last token only"
        if not shapes.prefix_attention:
            return f"{shapes.model_type} computes attention in a way of its own, which queries cannot be put into"
        return None

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        counts = {shapes.attention_paths[layer]: settings["query_tokens"] * shapes.kv_size for layer in layers}
        counts[shapes.attention_paths[max(layers)]] += shapes.hidden_size * shapes.kv_size
        return counts

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        top = shapes.block(shapes.num_layers - 1)
        return {
            "peft_type": "VQT",
            "query_tokens": settings["query_tokens"],
            "hidden_size": shapes.hidden_size,
            "last_block": top,
            "owner": shapes.attention_paths[max(layers)],
            "target_modules": [*(shapes.attention_paths[layer] for layer in layers), top],
        }
