"""Full fine-tuning of any set of blocks, such as those that a layer score chose. Imports no torch."""

from collections.abc import Mapping

from typing_extensions import override

from autopeft.methods.mechanisms.method import Method
from autopeft.methods.mechanisms.work import Place, Work


class FullLayers(Method):
    """Trained: every parameter of the chosen blocks and, unlike `full`, nothing beside them."""

    name = "full_layers"
    title = "full fine-tuning of single layers"
    paper = "Lee et al. 2022, arXiv 2210.11466"  # surgical fine-tuning
    learning_rate = (1e-5, 5e-4)
    mergeable = True
    trains_weights = True

    def refuses_company(self, other):
        return "whole blocks are trained as copies, inside and around which peft adapts nothing: leave full_layers out"

    def count(self, settings, layers, shapes):
        return {shapes.block(layer): shapes.block_parameters[layer] for layer in layers}

    def peft_fields(self, settings, layers, shapes):
        return {
            "peft_type": "SELECTED",
            "target_modules": [],
            "modules_to_save": [shapes.block(layer) for layer in layers],
        }

    @override
    def work(self, settings: Mapping, place: Place) -> Work:
        return Work()  # the gradients of the weights are products of the backbone's own
