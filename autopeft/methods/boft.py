"""BOFT: the inputs of a linear are rotated by sparse factors that together mix them widely."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from autopeft.backbone.shapes import ROLES, BackboneShapes
from autopeft.methods.mechanisms.block_size import admissible
from autopeft.methods.mechanisms.method import TARGETS, Method, Settings
from autopeft.methods.mechanisms.work import Place, Work


class Boft(Method):
    """A tuner of ours: peft's own needs a CUDA compiler for more than one factor, and with one it is OFT with a scale.

    m factors of blocks of b mix b 2^(m-1) inputs with m n (b - 1) / 2 numbers, and each output has a factor of its own.
    """

    name = "boft"
    title = "BOFT"
    family = "orthogonal"
    paper = "Liu et al. 2023, arXiv 2311.06243"
    hyperparameters = {"block_size": (2, 4, 8, 16), "factors": (2, 3, 4), "target_modules": TARGETS}
    defaults = {"block_size": 8, "factors": 2, "target_modules": "query+value"}
    learning_rate = (3e-4, 3e-2)
    mergeable = True
    turns_input = ROLES

    @override
    def refuses(self, shapes: BackboneShapes) -> str | None:
        odd = any(x.in_features % 2 for x in shapes.linears)
        return f"{shapes.name} has a width that is odd, which BOFT cannot halve" if odd else None

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        size, factors, chosen = butterflies(settings, layers, shapes)
        return {x.path: factors * (x.in_features * (size - 1) // 2) + x.out_features for x in chosen}

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        size, factors, chosen = butterflies(settings, layers, shapes)
        return {
            "peft_type": "BUTTERFLY",
            "block_size": size,
            "factors": factors,
            "target_modules": [x.path for x in chosen],
        }

    @override
    def work(self, settings: Settings, place: Place) -> Work:
        """There are m factors of blocks of b: they cost m b numbers per input, of which m (b - 1) / 2 are trained."""
        trained = 2 * (place.parameters - place.outputs) // place.inputs  # m (b - 1)
        factors = next(m for m in range(1, settings["factors"] + 1) if trained // m < settings["block_size"])
        numbers = (trained + factors) * place.inputs
        product, block = 2 * place.tokens * numbers, numbers // (factors * place.inputs)
        gradients = 2 * product - product // factors + 2 * numbers * block
        saved = place.tokens * factors * place.inputs + 4 * numbers  # a copy in another order for each factor
        return Work(product, gradients, product // factors, saved, keeps_input=False)


def butterflies(settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> tuple:
    """The block size and the number of factors that all chosen linears can have, and these linears."""
    chosen = shapes.select(settings["target_modules"], layers)
    size = 2 * admissible(settings["block_size"] // 2, {x.in_features // 2 for x in chosen})
    blocks = {x.in_features // size for x in chosen}
    room = max(m for m in range(1, settings["factors"] + 1) if all(n % 2 ** (m - 1) == 0 for n in blocks))
    return size, room, chosen
