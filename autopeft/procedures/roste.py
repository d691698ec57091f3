"""RoSTE: train against a backbone whose weights and activations are rounded to a few bits."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.configuration import Configuration
from autopeft.methods import get_method
from autopeft.procedures.mechanisms.procedure import Procedure
from autopeft.tasks.kind import get_kind

if TYPE_CHECKING:
    from peft import PeftModel


class Roste(Procedure):
    """Every linear of every block is rounded, those below the lowest adapted block too, as it will be when deployed.

    What a method adds beside a linear (LoRA's branch, adapters) stays in full precision; weights that a method trains
    (full fine-tuning) are rounded at every pass. Keys and values are not rounded on their own.
    """

    name = "roste"
    title = "RoSTE"
    paper = "Wei et al. 2025, arXiv 2502.09003"
    hyperparameters = {"weight_bits": (4, 8), "activation_bits": (4, 8, 16)}
    defaults = {"weight_bits": 4, "activation_bits": 8}
    needs_whole_backbone = True

    @override
    def refuses(self, methods: tuple[str, ...], shapes: BackboneShapes) -> str | None:
        if shapes.decoder_path:
            return "its rotations are chosen in one pass over words, and a decoder beside an encoder needs its own"
        if get_kind(shapes.task).modality != "text":
            return f"its rotations are chosen on words drawn at random, and {get_kind(shapes.task).title} reads none"
        for method in map(get_method, methods):
            if method.bypasses_linear:
                return (
                    f"{method.title} multiplies by the weight itself and never calls the linear that would be rounded"
                )
        return None

    @override
    def around(
        self, model: PeftModel, configuration: Configuration, shapes: BackboneShapes
    ) -> AbstractContextManager[object]:
        from autopeft.procedures.mechanisms.quantisation import quantised

        settings = {**self.defaults, **dict(configuration.procedure_settings)}
        return quantised(model, [x.path for x in shapes.linears], **settings)
