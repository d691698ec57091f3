"""Full fine-tuning of the upper blocks, and with layer 0 of the whole backbone.

Trained: the selected blocks; when layer 0 is among them also everything beside the blocks (embeddings, final norm,
relative positions), because then nothing below is frozen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.method import Method, Settings

if TYPE_CHECKING:
    import torch
    from peft import PeftModel

    from autopeft.methods.mechanisms.statistics import Statistics


class Full(Method):
    """Trains copies of the adapted blocks, which are the uppermost ones; with block 0 also what lies beside the blocks."""

    name = "full"
    title = "full fine-tuning"
    family = "full"
    paper = "Devlin et al. 2018, arXiv 1810.04805"
    learning_rate = (1e-5, 5e-4)
    layers = "suffix"
    mergeable = True

    @override
    def refuses_company(self, other: str) -> str | None:
        return "full fine-tuning trains copies of whole blocks, inside which peft adapts nothing: leave full out"

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        counts = {shapes.block(layer): shapes.block_parameters[layer] for layer in layers}
        if 0 in layers:
            counts["beside the blocks"] = shapes.backbone_parameters - sum(shapes.block_parameters)
        return counts

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        fields = {
            "peft_type": "SELECTED",
            "target_modules": [],
            "modules_to_save": [shapes.block(layer) for layer in layers],
        }
        return {**fields, "beside_blocks": shapes.stacks} if 0 in layers else fields

    @override
    def after_attach(
        self, model: PeftModel, settings: Settings, layers: tuple[int, ...], statistics: Statistics | None, seed: int
    ) -> None:
        """What shares a weight in the backbone (embeddings and LM head) shares the copy too."""
        from peft.utils import ModulesToSaveWrapper

        copies: dict[torch.nn.Parameter, torch.nn.Parameter] = {}
        for wrapper in [m for m in model.modules() if isinstance(m, ModulesToSaveWrapper)]:
            trained = wrapper.modules_to_save["default"]
            for name, weight in list(wrapper.original_module.named_parameters(recurse=False)):
                setattr(trained, name, copies.setdefault(weight, getattr(trained, name)))
