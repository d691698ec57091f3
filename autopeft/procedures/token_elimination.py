"""Token elimination: the upper blocks run on the informative share of a text's tokens."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.configuration import Configuration
from autopeft.methods.mechanisms.method import Settings, get_method
from autopeft.procedures.mechanisms.procedure import Procedure, only_rows

if TYPE_CHECKING:
    from peft import PeftModel


class TokenElimination(Procedure):
    """From a depth on, and always above the lowest trained block, every block keeps `keep` of each row's tokens.

    The block below an eliminating one has to run, since its attention says which tokens count: so the frozen prefix
    stays as it is and may be stored.
    """

    name = "token_elimination"
    title = "token elimination (LeMo)"
    paper = "Wang et al. 2025, arXiv 2501.09767"
    hyperparameters = {"keep": (0.5, 0.7, 0.9), "from_depth": (0.25, 0.5)}
    defaults = {"keep": 0.7, "from_depth": 0.25}
    repeatable = False

    @override
    def refuses(self, methods: tuple[str, ...], shapes: BackboneShapes) -> str | None:
        if why := only_rows(shapes):
            return why
        if not shapes.prefix_attention:
            return f"{shapes.model_type} does not run its attention where received attention can be seen"
        if "head_only" in methods:
            return "head_only trains no block that could run on fewer tokens"
        for name in methods:
            if get_method(name).inside_attention:
                return f"{name} takes the place in the attention from which tokens are judged"
        return None

    @override
    def around(
        self, model: PeftModel, configuration: Configuration, shapes: BackboneShapes
    ) -> AbstractContextManager[object]:
        from autopeft.procedures.mechanisms.elimination import eliminated

        settings = {**self.defaults, **dict(configuration.procedure_settings)}
        return eliminated(model, shapes, self.layers(settings, configuration, shapes), settings["keep"])

    def layers(self, settings: Settings, configuration: Configuration, shapes: BackboneShapes) -> tuple[int, ...]:
        """The blocks that run on fewer tokens."""
        lowest = max(round(settings["from_depth"] * shapes.num_layers), (configuration.frozen_layers or 0) + 1)
        return tuple(range(lowest, shapes.num_layers))
