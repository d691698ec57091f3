"""Prompt tuning: trained vectors stand before the embedded words of every text."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.method import Method, Settings
from autopeft.tasks.kind import get_kind

OWN_WIDTH = ("electra", "convbert", "roformer", "mobilebert")  # may embed words in another width than the blocks'


class PromptTuning(Method):
    """They begin as words drawn from the vocabulary: vectors of N(0, 1), peft's default, lie far from every word.

    They enter below block 0, so nothing can be frozen below them, and take their share of the longest text.
    """

    name = "prompt_tuning"
    title = "prompt tuning"
    family = "prompt"
    paper = "Lester et al. 2021, arXiv 2104.08691"
    hyperparameters = {"prompt_length": (1, 2, 4, 8, 16, 32, 64)}
    defaults = {"prompt_length": 8}
    learning_rate = (1e-3, 1e-1)
    quantised_base = True
    layers = "all"
    zero_start = False

    @override
    def refuses(self, shapes: BackboneShapes) -> str | None:
        if get_kind(shapes.task).modality != "text":
            return f"a prompt stands before embedded words, and {get_kind(shapes.task).title} reads none"
        if shapes.decoder_path:
            return (
                "peft puts a prompt before the words of both stacks, which would have to be counted and trained twice"
            )
        if shapes.is_decoder:
            return (
                f"{shapes.model_type} classifies at the last token that is not padding, "
                "which peft cannot find behind a prompt"
            )
        if shapes.model_type in OWN_WIDTH:
            return f"{shapes.model_type} embeds words in a width of its own"
        return None

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        return {"prompt": settings["prompt_length"] * shapes.hidden_size}

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        return {"peft_type": "PROMPT_TUNING", "prompt_tuning_init": "SAMPLE_VOCAB", **sizes(settings, shapes)}

    @override
    def refuses_company(self, other: str) -> str | None:
        return f"peft lets {self.title} stand alone: leave {self.name} out"


def sizes(settings: Settings, shapes: BackboneShapes) -> dict:
    """What peft would look for in the model's config under names that not every model uses; heads play no part."""
    return {
        "num_virtual_tokens": settings["prompt_length"],
        "token_dim": shapes.hidden_size,
        "num_layers": shapes.num_layers,
        "num_attention_heads": 1,
    }
