"""Prefix tuning: trained keys and values stand before those of the text in every attention."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.method import Method, Settings
from autopeft.methods.mechanisms.work import Place, Work


class PrefixTuning(Method):
    """peft's own form gives every layer a prefix and stands alone; a tuner of ours takes a subset, or combines."""

    name = "prefix_tuning"
    title = "prefix tuning"
    family = "prompt"
    paper = "Li and Liang 2021, arXiv 2101.00190"
    hyperparameters = {"prefix_length": (1, 2, 4, 8, 16, 32, 64)}
    defaults = {"prefix_length": 8}
    learning_rate = (1e-3, 1e-1)
    quantised_base = True
    zero_start = False  # even zero keys take a share of the attention
    inside_attention = True

    @override
    def refuses(self, shapes: BackboneShapes) -> str | None:
        if shapes.prefix_attention:
            return None
        return f"{shapes.model_type} computes attention in a way of its own, which a prefix cannot be put into"

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        return {shapes.attention_paths[layer]: 2 * settings["prefix_length"] * shapes.kv_size for layer in layers}

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        if shapes.prefix_cache and len(layers) == shapes.num_layers:
            # peft reads the width, the heads and the number of layers off the model's own config.
            return {"peft_type": "PREFIX_TUNING", "num_virtual_tokens": settings["prefix_length"]}
        return self.part_fields(settings, layers, shapes)

    @override
    def part_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        return {
            "peft_type": "PREFIX_LAYERS",
            "num_virtual_tokens": settings["prefix_length"],
            "target_modules": [shapes.attention_paths[layer] for layer in layers],
        }

    @override
    def work(self, settings: Settings, place: Place) -> Work:
        return Work(keeps_input=False)  # the attention keeps keys and values anyway, the longer ones

    @override
    def extra_keys(self, settings: Settings) -> int:
        return settings["prefix_length"]
