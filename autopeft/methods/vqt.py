"""VQT: trained queries read each layer's keys and values, and only the head sees what they read."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.method import Method, Settings
from autopeft.methods.mechanisms.work import Place, Work


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
    beside_backbone = True

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

    @override
    def work(self, settings: Settings, place: Place) -> Work:
        """Queries times keys, and what they read; the keys and values are given no gradient."""
        products = 4 * place.tokens * settings["query_tokens"] * place.outputs
        return Work(products, products, 0, 2 * place.tokens * place.outputs, keeps_input=False)
