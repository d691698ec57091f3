"""LN tuning: only the norms of the chosen blocks are trained. Imports no torch."""

from collections.abc import Mapping

from typing_extensions import override

from autopeft.methods.mechanisms.method import Method
from autopeft.methods.mechanisms.work import Place, Work


class LnTuning(Method):
    name = "ln_tuning"
    title = "LN tuning"
    paper = "Zhao et al. 2023, arXiv 2312.11420"
    learning_rate = (3e-4, 3e-2)
    mergeable = True

    def refuses(self, shapes):
        return None if shapes.norms else f"{shapes.name} has no norms with weights to train"

    def count(self, settings, layers, shapes):
        return {x.path: x.size for x in shapes.norms if x.layer in layers}

    def peft_fields(self, settings, layers, shapes):
        return {"peft_type": "LN_TUNING", "target_modules": [x.path for x in shapes.norms if x.layer in layers]}

    @override
    def work(self, settings: Mapping, place: Place) -> Work:
        return Work(keeps_input=False)
