"""TinyLoRA: a small matrix of few trained numbers mixes a weight's largest singular directions. Imports no torch."""

from autopeft.errors import AutopeftError
from autopeft.methods.method import TARGETS, Method


class Tinylora(Method):
    """dW = U_r S_r^(1/2) (sum_i v_i P_i) S_r^(1/2) V_r^T: random P_i (r, r) stay, v (u) is trained and starts at 0."""

    name = "tinylora"
    title = "TinyLoRA"
    paper = "2026, arXiv 2602.04118"
    hyperparameters = {"u": (4, 16, 64, 256), "rank": (2, 8), "target_modules": TARGETS}
    defaults = {"u": 64, "rank": 8, "target_modules": "all-linear"}
    learning_rate = (1e-3, 5e-2)
    mergeable = True

    def count(self, settings, layers, shapes):
        return {x.path: settings["u"] for x in shapes.select(settings["target_modules"], layers)}

    def peft_fields(self, settings, layers, shapes):
        return {
            "peft_type": "TINYLORA",
            "r": settings["rank"],
            "u": settings["u"],
            "save_projection": True,
            "target_modules": [x.path for x in shapes.select(settings["target_modules"], layers)],
        }

    def part_fields(self, settings, layers, shapes):
        raise AutopeftError(
            "TinyLoRA keeps the vectors of all modules in one place, so peft cannot combine it "
            "with another method: leave tinylora out of the combination."
        )
