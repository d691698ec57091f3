"""VQT: trained queries read each layer's keys and values, and only the head sees what they read. Imports no torch."""

from collections.abc import Mapping

from typing_extensions import override

from autopeft.methods.mechanisms.method import Method
from autopeft.methods.mechanisms.work import Place, Work


class Vqt(Method):
    """The map of what was read into the head's input is counted, and held, in the highest chosen layer."""

    name = "vqt"
    title = "visual query tuning"
    paper = "Tu et al. 2022, arXiv 2212.03220"
    hyperparameters = {"query_tokens": (1, 4, 16)}
    defaults = {"query_tokens": 1}
    learning_rate = (2e-4, 2e-2)
    inside_attention = True
    repeatable = False
    beside_backbone = True

    def refuses(self, shapes):
        if shapes.is_decoder:
            return f"VQT's queries read the whole text, which {shapes.model_type} shows to its last token only"
        if not shapes.prefix_attention:
            return f"{shapes.model_type} computes attention in a way of its own, which queries cannot be put into"
        return None

    def count(self, settings, layers, shapes):
        counts = {shapes.attention_paths[layer]: settings["query_tokens"] * shapes.kv_size for layer in layers}
        counts[shapes.attention_paths[max(layers)]] += shapes.hidden_size * shapes.kv_size
        return counts

    def peft_fields(self, settings, layers, shapes):
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
    def work(self, settings: Mapping, place: Place) -> Work:
        """Queries times keys, and what they read; the keys and values are given no gradient."""
        products = 4 * place.tokens * settings["query_tokens"] * place.outputs
        return Work(products, products, 0, 2 * place.tokens * place.outputs, keeps_input=False)
