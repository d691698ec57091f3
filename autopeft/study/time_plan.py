"""Seconds -> how many trials, steps, finalists and seeds fit into them, from the measured time of a training step.

Costs are counted in rows that are passed forward: a row of a training step counts for the passes forward and back.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from autopeft.base.errors import AutopeftError
from autopeft.study.length import default_epochs, epochs_of, evaluation_steps, steps_of
from autopeft.study.rates import compared_after
from autopeft.study.rungs import rungs_of
from autopeft.study.spec import PLANNED, StudySpec
from autopeft.study.tuning import tuned_until

TRAINED_ROW = 2.5  # forward passes that a row of a training step takes as long as
SLOWER = 1.2  # times as long as uniform LoRA's that the step of the average trial takes
FULL = 1.7  # the same of full fine-tuning
PROMOTED = (0.55, 0.75)  # share of the trials that go on from the first rung, and from a later one
TRIED = 3.5  # learning rates of a finalist or baseline, with those beyond an end
RACED = 0.6  # share of the finalists' further seeds that racing trains
LEAST_STEPS = 48  # of a whole run: fewer say nothing
FEW = 15  # trials after which a search from a portfolio has most of its front
START = 20.0  # seconds to load, time the formats and write the report


@dataclass(frozen=True)
class Pace:
    """How fast a study trains.

    Attributes:
        step: seconds of a training step of uniform LoRA, all workers together.
        train: rows of the training split.
        validation: rows of the validation split.
        test: rows of the test split.
    """

    step: float
    train: int
    validation: int
    test: int


@dataclass(frozen=True)
class Effort:
    """How much a study does."""

    trials: int
    full_steps: int
    finalists: int
    seeds: int
    ceiling: bool

    def to_json(self) -> dict[str, Any]:
        """As the fields of a study."""
        return asdict(self)


LEVELS = (  # from the least to the most that is worth doing; the steps are those that fit
    Effort(6, 0, 2, 1, False),
    Effort(9, 0, 2, 2, False),
    Effort(12, 0, 3, 2, False),
    Effort(15, 0, 3, 3, False),
    Effort(15, 0, 5, 3, True),
    Effort(20, 0, 6, 3, True),
    Effort(30, 0, 6, 3, True),
    Effort(40, 0, 8, 4, True),
    Effort(60, 0, 8, 5, True),
    Effort(90, 0, 8, 5, True),
)


def given_fields(spec: StudySpec) -> dict[str, Any]:
    """What a study says itself of what is planned."""
    return {name: getattr(spec, name) for name in PLANNED if name in spec.model_fields_set}


def planned(seconds: float, pace: Pace, spec: StudySpec, given: Mapping[str, Any]) -> Effort:
    """The most that fits: the highest level at which a whole run still has enough steps, and the steps that fit then.

    Args:
        seconds: for the whole study.
        pace: measured.
        spec: the rungs, rates and batch of the study.
        given: fields that were asked for, which stay as they are.

    Raises:
        AutopeftError: not even the least fits.
    """
    passes = pace.train / spec.batch_size
    longest = steps_of(default_epochs(pace.train, spec.batch_size), pace.train, spec.batch_size)
    most = given.get("full_steps", max(LEAST_STEPS, longest))
    fitting = [fitted(replace(level, **given), seconds, pace, spec, most, given) for level in LEVELS]
    enough = [e for e, level in zip(fitting, LEVELS) if e.full_steps >= min(most, least_steps(level, passes, most))]
    if not enough:
        least = stages(replace(LEVELS[0], **{"full_steps": LEAST_STEPS, **given}), pace, spec)
        raise AutopeftError(
            f"In {seconds:,.0f} s a search of these data learns nothing here: the least that makes sense takes about "
            f"{sum(least.values()):,.0f} s. Give more with --time, or less to do (--batch-size, --max-length, --train-rows)."
        )
    return enough[-1]


def least_steps(level: Effort, passes: float, most: int) -> float:
    """The steps without which a level is not worth its trials: more trials wait until runs are long enough."""
    if level.trials <= FEW:
        return LEAST_STEPS if level.seeds == 1 else 2 * LEAST_STEPS
    return max(2 * LEAST_STEPS, passes) if level.trials <= 2 * FEW else most


def fitted(level: Effort, seconds: float, pace: Pace, spec: StudySpec, most: int, given: Mapping[str, Any]) -> Effort:
    """A level with as many steps as fit, at most `most`, at least 1."""
    if "full_steps" in given:
        return level if sum(stages(level, pace, spec).values()) <= seconds else replace(level, full_steps=0)
    low, high = 1, most
    while low < high:
        middle = (low + high + 1) // 2
        fits = sum(stages(replace(level, full_steps=middle), pace, spec).values()) <= seconds
        low, high = (middle, high) if fits else (low, middle - 1)
    return replace(level, full_steps=low)


def stages(effort: Effort, pace: Pace, spec: StudySpec) -> dict[str, float]:
    """The seconds that an effort is expected to take: to start, for the trials, for the full-length runs."""
    row = pace.step / spec.batch_size / TRAINED_ROW  # seconds of a forward pass of one row
    points = evaluation_steps(effort.full_steps, epochs_of(spec, effort.full_steps, pace.train))
    whole = effort.full_steps * pace.step + row * ((len(points) or 1.5) * pace.validation + pace.test)
    tuning = tuned_until(effort.full_steps, points) * pace.step + row * pace.validation
    baselines = TRIED * tuning + 2.2 * effort.seeds * whole  # uniform LoRA, the usual guess, the linear probe
    ceiling = FULL * (TRIED * tuning + effort.seeds * whole) if effort.ceiling else 0.0
    seeds = effort.finalists * (1 + RACED * (effort.seeds - 1))
    finalists = SLOWER * (effort.finalists * TRIED * tuning + seeds * whole)
    trials = effort.trials * SLOWER * trial(effort, pace, spec, row)
    return {"start": START, "trials": trials, "full length": baselines + ceiling + finalists}


def trial(effort: Effort, pace: Pace, spec: StudySpec, row: float) -> float:
    """The seconds that a trial is expected to take, with those that are stopped at a rung."""
    rungs = rungs_of(spec.rungs, effort.full_steps, pace.validation)
    begun = compared_after(effort.full_steps, rungs[0].steps)
    total = spec.rates * (begun * pace.step + row * rungs[0].rows)
    share, at = 1.0, begun
    for number, rung in enumerate(rungs):
        total += share * ((rung.steps - at) * pace.step + row * rung.rows)
        share, at = share * PROMOTED[min(number, len(PROMOTED) - 1)], rung.steps
    return total
