"""Serial bottleneck adapters: a small MLP on the output of a block, or of its attention and its FFN."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.method import Method, Settings
from autopeft.methods.mechanisms.work import Place, Work, chain

ACTIVATION = {"pfeiffer": "relu", "houlsby": "gelu_new"}  # as each paper's own code has it


def bottleneck_parameters(width: int, bottleneck: int) -> int:
    """W_down, b_down, W_up, b_up: 2 H b + b + H."""
    return 2 * width * bottleneck + bottleneck + width


class SerialAdapter(Method):
    """Replaces h by h + W_up relu(W_down h + b_down) + b_up behind each block, or behind its attention and its FFN."""

    name = "serial_adapter"
    title = "serial adapter"
    family = "adapter"
    paper = "Houlsby et al. 2019, arXiv 1902.00751; Pfeiffer et al. 2020, arXiv 2005.00247"
    hyperparameters = {"bottleneck": (1, 2, 4, 8, 16, 32, 64, 128), "placement": ("pfeiffer", "houlsby")}
    defaults = {"bottleneck": 8, "placement": "pfeiffer"}
    learning_rate = (1e-4, 1e-2)
    quantised_base = True

    def targets(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> list[str]:
        """The wrapped modules: the blocks themselves, or the output linears of attention and FFN."""
        if settings["placement"] == "pfeiffer":
            return [shapes.block(layer) for layer in layers]
        return [x.path for x in shapes.linears if x.layer in layers and x.role in ("attention_output", "ffn_out")]

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        each = bottleneck_parameters(shapes.hidden_size, settings["bottleneck"])
        return dict.fromkeys(self.targets(settings, layers, shapes), each)

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        return {
            "peft_type": "SERIAL_ADAPTER",
            "bottleneck": settings["bottleneck"],
            "hidden_size": shapes.hidden_size,
            "activation": ACTIVATION[settings["placement"]],
            "placement": settings["placement"],
            "target_modules": self.targets(settings, layers, shapes),
        }

    @override
    def work(self, settings: Settings, place: Place) -> Work:
        inside = chain(place.tokens, place.outputs, settings["bottleneck"], place.outputs)
        return replace(inside, saved=inside.saved + place.tokens * place.outputs, keeps_input=False)
