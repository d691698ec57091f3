"""Methods whose layers in peft take an nn.Linear and nothing else."""

from __future__ import annotations

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.method import Method

TRANSPOSED = ("gpt2", "openai-gpt")  # their linears are transformers' Conv1D, with weights of shape (in, out)


class LinearsOnly(Method):
    """Refuses the backbones that store their weights transposed."""

    @override
    def refuses(self, shapes: BackboneShapes) -> str | None:
        if shapes.model_type in TRANSPOSED:
            return f"{shapes.model_type} stores its weights transposed, which {self.title} in peft does not take"
        return None
