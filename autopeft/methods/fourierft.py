"""FourierFT: a linear's update is the inverse Fourier transform of a few trained coefficients."""

from __future__ import annotations

from typing import Any, ClassVar

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.method import TARGETS, Method, Settings

SCALING = 150.0  # peft's default; the paper takes 100 to 200 on GLUE


class FourierFt(Method):
    """dW = scaling Re(ifft2(F)), F zero but at n random places, which are the same in all modules of a size."""

    name = "fourierft"
    title = "FourierFT"
    family = "very few numbers"
    paper = "Gao et al. 2024, arXiv 2405.03003"
    hyperparameters = {"n_frequency": (50, 100, 200, 500, 1000, 2000, 5000), "target_modules": TARGETS}
    defaults = {"n_frequency": 1000, "target_modules": "query+value"}
    # ifft2 divides by in * out, so a coefficient moves a weight by little and the paper's rates reach 0.1.
    learning_rate = (5e-3, 5e-1)
    mergeable = True
    packable = False  # writes into the spectrum in place, which vmap cannot
    peft_type = "FOURIERFT"
    constants: ClassVar[dict[str, Any]] = {"scaling": SCALING}

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        number, chosen = frequencies(settings, layers, shapes)
        return {x.path: number for x in chosen}

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        number, chosen = frequencies(settings, layers, shapes)
        return {
            "peft_type": self.peft_type,
            "n_frequency": number,
            "random_loc_seed": 777,
            "init_weights": True,  # zeros
            **self.constants,
            "target_modules": [x.path for x in chosen],
        }


def frequencies(settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> tuple:
    """How many coefficients each of the chosen linears gets, no more than the smallest has entries; and these linears."""
    chosen = shapes.select(settings["target_modules"], layers)
    return min([settings["n_frequency"], *(x.in_features * x.out_features for x in chosen)]), chosen
