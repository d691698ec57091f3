"""A prefix behind a gate, as one of UniPELT's three parts. Imports no torch."""

from collections.abc import Mapping

from typing_extensions import override

from autopeft.methods.mechanisms.work import Place, Work, chain, joined
from autopeft.methods.prefix_tuning import PrefixTuning
from autopeft.tasks.kind import get_kind


class GatedPrefix(PrefixTuning):
    """Each layer's keys and values are multiplied by a gate that the text opens and closes: H + 1 numbers more."""

    name = "gated_prefix"
    title = "gated prefix (UniPELT)"
    paper = "Mao et al. 2021, arXiv 2110.07577"

    def refuses(self, shapes):
        if not get_kind(shapes.task).new_head:
            return "its gate reads the whole text, the tokens to predict included"
        return super().refuses(shapes)

    def count(self, settings, layers, shapes):
        counts = super().count(settings, layers, shapes)
        return {path: number + shapes.hidden_size + 1 for path, number in counts.items()}

    def peft_fields(self, settings, layers, shapes):
        return self.part_fields(settings, layers, shapes)

    def part_fields(self, settings, layers, shapes):
        fields = super().part_fields(settings, layers, shapes)
        return {**fields, "peft_type": "GATED_PREFIX", "hidden_size": shapes.hidden_size}

    @override
    def work(self, settings: Mapping, place: Place) -> Work:
        return joined(super().work(settings, place), chain(place.tokens, place.inputs, 1))
