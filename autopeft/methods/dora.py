"""DoRA: LoRA moves the direction of each row of a weight, a trained magnitude its length. Imports no torch."""

from collections.abc import Mapping

from typing_extensions import override

from autopeft.methods.lora import Lora
from autopeft.methods.mechanisms.work import Place, Work, chain, elementwise, joined


class Dora(Lora):
    name = "dora"
    title = "DoRA"
    paper = "Liu et al. 2024, arXiv 2402.09353"
    learning_rate = (5e-5, 1e-2)  # the authors advise to start a little below LoRA's

    def count(self, settings, layers, shapes):
        magnitudes = {x.path: x.out_features for x in shapes.select(settings["target_modules"], layers)}
        return {path: number + magnitudes[path] for path, number in super().count(settings, layers, shapes).items()}

    def peft_fields(self, settings, layers, shapes):
        return {**super().peft_fields(settings, layers, shapes), "use_dora": True}

    @override
    def work(self, settings: Mapping, place: Place) -> Work:
        """The update is built once more for the lengths of the weight's rows, through which no gradient passes."""
        rank = settings["rank"]
        lengths = 2 * place.inputs * rank * (place.inputs + place.outputs)
        update = chain(place.tokens, place.inputs, rank, place.outputs)
        return joined(update, Work(lengths), elementwise(place, 2))
