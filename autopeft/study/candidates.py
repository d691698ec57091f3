"""What is trained at full length: the finalists of the search, and the baselines that they are compared with.

All get as many tries before they are compared: three learning rates, of which the validation loss chooses. Only the
usual guess stays as it would have been typed.
"""

from dataclasses import dataclass, replace

from autopeft.backbone.shapes import BackboneShapes
from autopeft.configuration import Configuration
from autopeft.methods import get_method, learning_rates
from autopeft.study.records import TrialRecord
from autopeft.uniform_lora import uniform_lora

DOING_NOTHING = "doing nothing"
USUAL_GUESS = "the usual guess"
UNIFORM_LORA = "uniform LoRA"
TUNING = (0.35, 0.5, 0.7)  # where in a method's learning-rate range (log scale) a baseline's rate is tried


@dataclass(frozen=True)
class Candidate:
    """What is trained at full length.

    Attributes:
        role: "finalist", "baseline" or "ceiling".
        tuned: whether its learning rate is chosen among those of `rates` first.
    """

    name: str
    role: str
    configuration: Configuration
    tuned: bool = True

    def rates(self) -> list[Configuration]:
        """The configuration at each learning rate that is tried: over the method's range, or around a finalist's own."""
        low, high = learning_rates(self.configuration.methods)
        middle = low * (high / low) ** TUNING[1]
        if self.role == "finalist":
            middle = self.configuration.learning_rate
        tried = [middle * (high / low) ** (at - TUNING[1]) for at in TUNING]
        return [replace(self.configuration, learning_rate=float(f"{rate:.6g}")) for rate in tried]


def usual_guess(shapes: BackboneShapes) -> Configuration:
    """What most people type: LoRA with r = 8 and alpha = 16 on query and value of every layer, learning rate 2e-4."""
    settings = {**get_method("lora").defaults, "rank": 8, "target_modules": "query+value"}
    return Configuration.of("lora", settings, tuple(range(shapes.num_layers)), 2e-4)


def baselines(shapes: BackboneShapes, budget: int | None, ceiling: bool) -> list[Candidate]:
    """List the baselines: linear probe, the usual guess, uniform LoRA at the budget, full fine-tuning.

    Where there is no head to train, the backbone as it is takes the place of the linear probe.

    Args:
        shapes: the backbone's sizes.
        budget: trainable parameters, None for no limit.
        ceiling: whether full fine-tuning is among them.
    """
    every = tuple(range(shapes.num_layers))
    nothing = Configuration.of("head_only", {}, (), 1e-3)
    chosen = [
        Candidate(
            "linear probe" if shapes.head_modules else DOING_NOTHING, "baseline", nothing, bool(shapes.head_modules)
        ),
        Candidate(USUAL_GUESS, "baseline", usual_guess(shapes), tuned=False),
        Candidate(UNIFORM_LORA, "baseline", uniform_lora(shapes, budget)),
    ]
    if ceiling:
        full = Configuration.of("full", get_method("full").defaults, every, 1e-4)
        chosen.append(Candidate("full fine-tuning", "ceiling", full))
    return chosen


def finalist(trial: TrialRecord) -> Candidate:
    """A finalist as what is trained at full length."""
    assert trial.configuration is not None
    return Candidate(f"trial {trial.number}", "finalist", trial.configuration)
