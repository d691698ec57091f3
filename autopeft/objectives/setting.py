"""Setting: what a study counts with."""

from dataclasses import dataclass

from autopeft.backbone.shapes import BackboneShapes
from autopeft.configuration import Configuration
from autopeft.costs.step import Step


@dataclass(frozen=True)
class Setting:
    """The sizes that counted objectives are functions of.

    Attributes:
        shapes: the backbone's sizes.
        step: a training step: rows, tokens, number formats.
        uniform_lora: uniform LoRA at the study's budget, to which limits such as "0.6x" refer.
    """

    shapes: BackboneShapes
    step: Step
    uniform_lora: Configuration
