"""P-tuning: a prompt whose vectors a small trained network makes."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.method import Settings
from autopeft.methods.prompt_tuning import PromptTuning, sizes


class PTuning(PromptTuning):
    """Three linears with ReLU make the prompt from n trained vectors.

    Only the prompt is saved, so training cannot be resumed from an exported adapter. What is counted is what is trained.
    """

    name = "p_tuning"
    title = "P-tuning"
    family = "prompt"
    paper = "Liu et al. 2021, arXiv 2103.10385"
    hyperparameters = {"prompt_length": (1, 2, 4, 8, 16, 32, 64), "encoder_hidden_size": (16, 32, 64, 128)}
    defaults = {"prompt_length": 8, "encoder_hidden_size": 64}
    learning_rate = (3e-4, 3e-2)
    quantised_base = True

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        n, e, width = settings["prompt_length"], settings["encoder_hidden_size"], shapes.hidden_size
        return {"prompt": n * width, "prompt encoder": (width + 1) * e + (e + 1) * e + (e + 1) * width}

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        return {
            "peft_type": "P_TUNING",
            "encoder_hidden_size": settings["encoder_hidden_size"],
            **sizes(settings, shapes),
        }
