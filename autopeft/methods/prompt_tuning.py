"""Prompt tuning: trained vectors stand before the embedded words of every text. Imports no torch."""

from collections.abc import Mapping

from typing_extensions import override

from autopeft.methods.mechanisms.method import Method
from autopeft.methods.mechanisms.work import Place, Work
from autopeft.tasks.kind import get_kind

OWN_WIDTH = ("electra", "convbert", "roformer", "mobilebert")  # may embed words in another width than the blocks'


class PromptTuning(Method):
    """They begin as words drawn from the vocabulary: vectors of N(0, 1), peft's default, lie far from every word.

    They enter below block 0, so nothing can be frozen below them, and take their share of the longest text.
    """

    name = "prompt_tuning"
    title = "prompt tuning"
    paper = "Lester et al. 2021, arXiv 2104.08691"
    hyperparameters = {"prompt_length": (1, 2, 4, 8, 16, 32, 64)}
    defaults = {"prompt_length": 8}
    learning_rate = (1e-3, 1e-1)
    quantised_base = True
    layers = "all"
    zero_start = False

    def refuses(self, shapes):
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

    def count(self, settings, layers, shapes):
        return {"prompt": settings["prompt_length"] * shapes.hidden_size}

    def peft_fields(self, settings, layers, shapes):
        return {"peft_type": "PROMPT_TUNING", "prompt_tuning_init": "SAMPLE_VOCAB", **sizes(settings, shapes)}

    def refuses_company(self, other):
        return f"peft lets {self.title} stand alone: leave {self.name} out"

    @override
    def work(self, settings: Mapping, place: Place) -> Work:
        return Work(saved=0, keeps_input=False)

    @override
    def extra_tokens(self, settings: Mapping) -> int:
        return settings["prompt_length"]


def sizes(settings, shapes) -> dict:
    """What peft would look for in the model's config under names that not every model uses; heads play no part."""
    return {
        "num_virtual_tokens": settings["prompt_length"],
        "token_dim": shapes.hidden_size,
        "num_layers": shapes.num_layers,
        "num_attention_heads": 1,
    }
