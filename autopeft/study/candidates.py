"""What is trained at full length: the finalists of the search, and the baselines that they are compared with.

All get as many tries before they are compared: as many learning rates, as far apart, and by one rule those beyond an end. The
validation loss chooses.
Only the usual guess stays as it would have been typed.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from autopeft.backbone.shapes import BackboneShapes
from autopeft.configuration import Configuration
from autopeft.methods import get_method
from autopeft.space.rates import rate_rule
from autopeft.study.records import TrialRecord
from autopeft.study.spec import HEAD_SHARE, StudySpec
from autopeft.uniform_lora import uniform_lora

DOING_NOTHING = "doing nothing"
USUAL_GUESS = "the usual guess"
UNIFORM_LORA = "uniform LoRA"
TRIES = 3  # learning rates that each is tried at, before any beyond them


@dataclass(frozen=True)
class Candidate:
    """What is trained at full length.

    Attributes:
        role: "finalist", "baseline" or "ceiling".
        rates: learning rates with which the tuning begins; none where the configuration's own stands.
    """

    name: str
    role: str
    configuration: Configuration
    rates: tuple[float, ...] = ()


def usual_guess(shapes: BackboneShapes) -> Configuration:
    """What most people type: LoRA with r = 8 and alpha = 16 on query and value of every layer, learning rate 2e-4."""
    settings = {**get_method("lora").defaults, "rank": 8, "target_modules": "query+value"}
    return Configuration.of("lora", settings, tuple(range(shapes.num_layers)), 2e-4)


def baselines(
    shapes: BackboneShapes, budget: int | None, ceiling: bool, spec: StudySpec, trials: Iterable[TrialRecord] = ()
) -> list[Candidate]:
    """List the baselines: linear probe, the usual guess, uniform LoRA at the budget, full fine-tuning.

    Where there is no head to train, the backbone as it is takes the place of the linear probe.

    Args:
        shapes: the backbone's sizes.
        budget: trainable parameters, None for no limit.
        ceiling: whether full fine-tuning is among them.
        spec: the length of the runs, by which rates are expected; and the head's rate, from which the linear probe's follows.
        trials: of the search; a baseline that was one of them is tried around the rate that won there, as finalists are.
    """
    every = tuple(range(shapes.num_layers))
    nothing = Configuration.of("head_only", {}, (), 1e-3)
    rule, won = rate_rule(), {parts(t.configuration): t.configuration for t in trials if t.configuration and t.curve}

    def tuned(name: str, role: str, configuration: Configuration) -> Candidate:
        tried = won.get(parts(configuration))
        centre = tried.learning_rate if tried else rule.rate(configuration, shapes, spec.length)
        if configuration == nothing:
            centre = spec.head_rate / HEAD_SHARE
        return Candidate(name, role, configuration, rule.around(centre, TRIES))

    probe = tuned("linear probe", "baseline", nothing) if shapes.head_modules else None
    chosen = [
        probe or Candidate(DOING_NOTHING, "baseline", nothing),
        Candidate(USUAL_GUESS, "baseline", usual_guess(shapes)),
        tuned(UNIFORM_LORA, "baseline", uniform_lora(shapes, budget)),
    ]
    if ceiling:
        chosen.append(
            tuned("full fine-tuning", "ceiling", Configuration.of("full", get_method("full").defaults, every, 1e-4))
        )
    return chosen


def parts(configuration: Configuration) -> tuple:
    """What all learning rates of a configuration share."""
    return configuration.method, configuration.settings, configuration.layers, configuration.procedure


def finalist(trial: TrialRecord) -> Candidate:
    """A finalist as what is trained at full length, tried around the rate that won its trial."""
    assert trial.configuration is not None
    rates = rate_rule().around(trial.configuration.learning_rate, TRIES)
    return Candidate(f"trial {trial.number}", "finalist", trial.configuration, rates)
