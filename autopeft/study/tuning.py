"""The learning rates of finalists and baselines: all are trained with the study's seed for a quarter of the length.

What a quarter chooses gains or loses half a point at most against what the whole length would (docs/numbers.md). While the
best is the lowest or the highest, one beyond it is tried too.
"""

from collections.abc import Iterable, Mapping, Sequence

from autopeft.configuration import Configuration
from autopeft.proxy.curve import Curve
from autopeft.study.candidates import Candidate
from autopeft.study.racing import Run, end_of

TUNED_SHARE, LEAST_TUNED = 4, 16  # of the length, steps
MOST_TRIES = 5  # learning rates of one candidate


def tuned_until(full_steps: int, points: Sequence[int]) -> int:
    """The step up to which learning rates are compared: a quarter of the length, but not too few of a short run.

    Args:
        full_steps: of a whole run.
        points: the steps after which whole runs are scored, of which it is the first that is no less; none if any may be.
    """
    quarter = min(full_steps, max(full_steps // TUNED_SHARE, LEAST_TUNED))
    return min((p for p in points if p >= quarter), default=quarter)


def rates_to_try(candidate: Candidate, losses: Mapping[float, float]) -> list[float]:
    """The learning rates that are still to be tried.

    Args:
        candidate: with those that are tried first.
        losses: learning rate -> validation loss of those tried so far. An earlier release tried as many at other places.
    """
    if len(losses) < len(candidate.rates):
        return [rate for rate in candidate.rates if rate not in losses]
    if not set(candidate.rates) <= losses.keys() or not 2 <= len(losses) < MOST_TRIES:
        return []
    rates, best = sorted(losses), min(losses, key=lambda rate: losses[rate])
    beyond = {rates[0]: rates[0] ** 2 / rates[1], rates[-1]: rates[-1] ** 2 / rates[-2]}
    return [float(f"{beyond[best]:.6g}")] if best in beyond else []


def loss(run: Run, step: int | None) -> float | None:
    """The validation loss of a run after a step, or what it came to; None where it was not measured there."""
    curve = Curve.from_json(run["curve"])
    if step is None:
        return curve.loss
    at = curve.at(step)
    return None if at is None else curve.validation_loss[at]


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
