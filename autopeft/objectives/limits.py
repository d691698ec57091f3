"""Hard limits: what a configuration may cost at most, known before anything is trained."""

import re
from dataclasses import dataclass
from math import inf

from autopeft.backbone.shapes import BackboneShapes
from autopeft.base.errors import AutopeftError
from autopeft.base.quantities import NUMBER
from autopeft.configuration import Configuration
from autopeft.costs.step import Step
from autopeft.objectives.objective import Counted, get_objective
from autopeft.objectives.parameters import PARAMETERS
from autopeft.objectives.setting import Setting
from autopeft.uniform_lora import uniform_lora

SUFFIXES = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "m": 1e6, "G": 1e9, "B": 1e9, "b": 1e9, "T": 1e12, "P": 1e15}
VALUE = re.compile(rf"({NUMBER})\s*(?:([xkKmMbBGTP])\s*)?(?:B|FLOPs)?")


@dataclass(frozen=True)
class Limit:
    """The largest value of a counted objective that is allowed."""

    objective: Counted
    most: float

    def value(self, configuration: Configuration, setting: Setting) -> float:
        """What a configuration comes to."""
        return self.objective.count(configuration, setting)


@dataclass(frozen=True)
class Limits:
    """All limits of a study, with the sizes that they are counted from."""

    limits: tuple[Limit, ...]
    setting: Setting

    @classmethod
    def of_budget(cls, shapes: BackboneShapes, budget: int | None = None) -> "Limits":
        """A budget of trainable parameters alone (None for no limit), for a step of 32 rows of 128 tokens."""
        found = (Limit(PARAMETERS, budget),) if budget is not None else ()
        return cls(found, Setting(shapes, Step(32, 128), uniform_lora(shapes, budget)))

    def meet(self, configuration: Configuration) -> bool:
        """Whether a configuration keeps to every limit."""
        return self.exceeded(configuration) is None

    def exceeded(self, configuration: Configuration) -> str | None:
        """The first limit that a configuration is over, in words; None if it keeps to all."""
        for limit in self.limits:
            value = limit.value(configuration, self.setting)
            if value > limit.most:
                show = limit.objective.words
                return f"{limit.objective.title}: {show(value)} is over the limit of {show(limit.most)}"
        return None


def parse_limit(text: str, setting: Setting) -> Limit:
    """Read a limit such as "train-memory=20GB", "train-flops=0.6x" or "adapter-bytes=500k".

    Args:
        text: NAME=VALUE; a value ending in x is a multiple of what uniform LoRA at the budget comes to.
        setting: the sizes that uniform LoRA is counted from.

    Raises:
        AutopeftError: the objective is unknown or only known after training, or the value is no positive number.
    """
    name, equals, value = (part.strip() for part in text.partition("="))
    if not equals:
        raise AutopeftError(f"A limit is NAME=VALUE, such as train-memory=20GB, not '{text}'.")
    objective = get_objective(name)
    if not isinstance(objective, Counted):
        raise AutopeftError(f"{name} is not known before training, so it cannot be a limit: make it an objective.")
    match = VALUE.fullmatch(value)
    number, unit = (float(match[1]), match[2] or "") if match else (0.0, "")
    most = number * (objective.count(setting.uniform_lora, setting) if unit == "x" else SUFFIXES[unit])
    if not 0 < most < inf:
        raise AutopeftError(
            f"The limit '{text}' has no value above zero: write a number such as 20GB or 300k, or a multiple of uniform "
            "LoRA's such as 0.6x."
        )
    return Limit(objective, most)
