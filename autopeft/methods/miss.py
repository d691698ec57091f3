"""MiSS: every block of a weight's columns gets the same trained matrix added. Imports no torch."""

from collections.abc import Mapping

from typing_extensions import override

from autopeft.methods.mechanisms.linears_only import LinearsOnly
from autopeft.methods.mechanisms.method import TARGETS
from autopeft.methods.mechanisms.work import Place, Work


class Miss(LinearsOnly):
    """dW repeats one r x out matrix D over the inputs: dW x = D^T sum_j x_block(j), the inputs in blocks of r."""

    name = "miss"
    title = "MiSS"
    paper = "Kang and Yin 2024, arXiv 2409.15371"
    hyperparameters = {"rank": (2, 4, 8, 16, 32), "target_modules": TARGETS}
    defaults = {"rank": 16, "target_modules": "query+value"}
    learning_rate = (1e-4, 2e-2)
    mergeable = True

    def refuses(self, shapes):
        largest, narrow = max(self.hyperparameters["rank"]), min(x.in_features for x in shapes.linears)
        if narrow < largest:
            return f"{shapes.name} has linears of {narrow} inputs, which cannot be cut into blocks of {largest}"
        return super().refuses(shapes)

    def count(self, settings, layers, shapes):
        return {x.path: settings["rank"] * x.out_features for x in shapes.select(settings["target_modules"], layers)}

    def peft_fields(self, settings, layers, shapes):
        return {
            "peft_type": "MISS",
            "r": settings["rank"],
            "target_modules": [x.path for x in shapes.select(settings["target_modules"], layers)],
        }

    @override
    def work(self, settings: Mapping, place: Place) -> Work:
        product = 2 * place.parameters * place.tokens
        return Work(product, product, product, place.tokens * settings["rank"], keeps_input=False)
