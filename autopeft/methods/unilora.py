"""Uni-LoRA: every entry of every LoRA factor is one of the numbers of a single trained vector. Imports no torch."""

from autopeft.errors import AutopeftError
from autopeft.methods.method import TARGETS, Method


class Unilora(Method):
    """theta_D = P theta_d: a fixed random P with one entry a row, scaled so that its columns have length one.

    Which number stands where is saved with the adapter, so its file is as large as LoRA's.
    """

    name = "unilora"
    title = "Uni-LoRA"
    paper = "Li et al. 2025, arXiv 2506.00799"
    hyperparameters = {"theta_d_length": (256, 1024, 4096, 16384), "rank": (4, 8), "target_modules": TARGETS}
    defaults = {"theta_d_length": 4096, "rank": 4, "target_modules": "query+value"}
    learning_rate = (1e-3, 1e-1)
    zero_start = False
    mergeable = True

    def count(self, settings, layers, shapes):
        chosen = shapes.select(settings["target_modules"], layers)
        first = dict.fromkeys([x.path for x in chosen][:1], settings["theta_d_length"])  # it lies in the first module
        return {x.path: first.get(x.path, 0) for x in chosen}

    def peft_fields(self, settings, layers, shapes):
        return {
            "peft_type": "UNILORA",
            "r": settings["rank"],
            "theta_d_length": settings["theta_d_length"],
            "save_indices": True,
            "target_modules": [x.path for x in shapes.select(settings["target_modules"], layers)],
        }

    def part_fields(self, settings, layers, shapes):
        raise AutopeftError(
            "Uni-LoRA shares its vector between all modules of a model, so peft cannot combine it "
            "with another method: leave unilora out of the combination."
        )
