"""The learning rates of finalists and baselines: all are trained with the study's seed for a quarter of the length.

What a quarter chooses loses nothing on the test split against what the whole length would (docs/numbers.md).
"""

from collections.abc import Iterable

from autopeft.configuration import Configuration
from autopeft.study.candidates import Candidate
from autopeft.study.racing import Run, end_of

TUNED_SHARE, LEAST_TUNED = 4, 16  # of the length, steps


def tuned_until(full_steps: int) -> int:
    """The step up to which learning rates are compared: a quarter of the length, but not too few of a short run."""
    return min(full_steps, max(full_steps // TUNED_SHARE, LEAST_TUNED))


def loss(run: Run, step: int | None) -> float | None:
    """The validation loss of a run after a step, or where it ended; None where it was not measured there."""
    curve = run["curve"]
    if step is None:
        return float(curve["validation_loss"][-1])
    return float(curve["validation_loss"][curve["steps"].index(step)]) if step in curve["steps"] else None


def seeds_of(candidate: Candidate, configuration: Configuration, runs: Iterable[Run]) -> dict[int, Run]:
    """Seed -> a candidate's run at one learning rate."""
    mine = (candidate.name, candidate.role, configuration.learning_rate)
    found = (r for r in runs if (r["name"], r["role"], r["configuration"]["learning_rate"]) == mine)
    return {r["curve"]["seed"]: r for r in found}


def tuned_rates(candidate: Candidate, runs: Iterable[Run]) -> list[tuple[float, Configuration, int]]:
    """(validation loss, configuration, step) of the rates tuned so far, best first; the candidate's own if none is."""
    tuned = [r for r in runs if r["name"] == candidate.name and r["role"] == "tuning"]
    found = [(r["curve"]["validation_loss"][-1], Configuration.from_json(r["configuration"]), end_of(r)) for r in tuned]
    return sorted(found, key=lambda x: x[0]) or [(0.0, candidate.configuration, 0)]
