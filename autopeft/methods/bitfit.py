"""BitFit: only the biases of the chosen layers are trained. Imports no torch."""

from collections.abc import Mapping

from typing_extensions import override

from autopeft.methods.mechanisms.method import Method
from autopeft.methods.mechanisms.work import Place, Work


class BitFit(Method):
    name = "bitfit"
    title = "BitFit"
    paper = "Ben Zaken et al. 2021, arXiv 2106.10199"
    learning_rate = (1e-4, 2e-2)
    mergeable = True

    def refuses(self, shapes):
        return None if shapes.biases else f"{shapes.name} has no biases to train"

    def count(self, settings, layers, shapes):
        return {x.path: x.size for x in shapes.biases if x.layer in layers}

    def peft_fields(self, settings, layers, shapes):
        return {"peft_type": "BITFIT", "target_modules": [x.path for x in shapes.biases if x.layer in layers]}

    @override
    def work(self, settings: Mapping, place: Place) -> Work:
        return Work(keeps_input=False)
