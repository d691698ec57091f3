"""A serial adapter behind a gate, as one of UniPELT's three parts. Imports no torch."""

from collections.abc import Mapping

from typing_extensions import override

from autopeft.methods.mechanisms.work import Place, Work, chain, joined
from autopeft.methods.serial_adapter import SerialAdapter


class GatedAdapter(SerialAdapter):
    """Each adapter has a gate that its input opens and closes, token by token: H + 1 numbers more."""

    name = "gated_adapter"
    title = "gated serial adapter (UniPELT)"
    paper = "Mao et al. 2021, arXiv 2110.07577"

    def count(self, settings, layers, shapes):
        counts = super().count(settings, layers, shapes)
        return {path: number + shapes.hidden_size + 1 for path, number in counts.items()}

    def peft_fields(self, settings, layers, shapes):
        return {**super().peft_fields(settings, layers, shapes), "peft_type": "GATED_ADAPTER"}

    @override
    def work(self, settings: Mapping, place: Place) -> Work:
        return joined(super().work(settings, place), chain(place.tokens, place.outputs, 1))
