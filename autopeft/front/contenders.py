"""Outcomes so far -> those that could still be an answer, and so get another seed. By the validation split alone.

Answers are the best, the best within a tenth, a hundredth ... of the budget, and the leanest that holds up against
uniform LoRA. What decides is whether the seeds that are left could change an answer, by a chance of one in four at least:
more seeds than that hardly choose better (docs/numbers.md).
"""

from collections.abc import Iterable, Iterator
from math import inf

import numpy as np

from autopeft.front.comparison import gap_of, holds_up, margin_of
from autopeft.front.front import measured_in_full
from autopeft.front.intervals import NAN, Interval, Word, judgement
from autopeft.front.more_seeds import wants_another_seed
from autopeft.objectives import Objective, Objectives
from autopeft.objectives.parameters import PARAMETERS
from autopeft.study.candidates import DOING_NOTHING, UNIFORM_LORA, USUAL_GUESS
from autopeft.study.racing import change_left, error_of_difference
from autopeft.study.records import Outcome, StudyResult

AN_INTERVAL = 2  # seeds that it takes
ONE_IN_FOUR = 0.674  # standard errors by which a normal variable is above its mean with that chance


def contenders(result: StudyResult, noise: float) -> set[str]:
    """Name the outcomes with which another seed could still change or settle an answer.

    Args:
        result: the study with its outcomes so far.
        noise: the standard deviation of one run's quality on the same rows.

    Returns:
        Names; those that have all their seeds already may be among them. None without a finalist, and all while
        nothing is known of the noise.
    """
    allowed = [o for o in result.outcomes if o.role != "ceiling" and within_limits(o, result)]
    if not any(o.role == "finalist" for o in allowed):
        return set()
    if noise == inf:
        return {o.name for o in result.outcomes}
    asked = [within(allowed, budget) for budget in budgets(allowed, result)] or [allowed]
    near = {o.name for group in asked for o in undecided(group, result, noise)}
    best = best_first(allowed, result.objectives)[0]
    return near.union(compared(best, result, noise), lean(allowed, result, noise))


def within_limits(outcome: Outcome, result: StudyResult) -> bool:
    """Whether an outcome may be an answer."""
    small = all(outcome.counted.get(name, 0) <= most for name, most in result.limits.items())
    return small and measured_in_full(outcome, result.objectives)


def budgets(outcomes: list[Outcome], result: StudyResult) -> list[float]:
    """The budget, a tenth of it and so on, down to the smallest outcome; none where the parameters are no objective."""
    sizes = [o.trainable for o in outcomes if o.trainable]
    if PARAMETERS not in tuple(result.objectives) or not sizes:
        return []
    budget = float(result.limits.get(PARAMETERS.name, max(sizes)))
    return [budget / 10**zeros for zeros in range(40) if budget / 10**zeros >= min(sizes)]


def within(outcomes: list[Outcome], budget: float) -> list[Outcome]:
    """The outcomes of at most so many parameters."""
    return [o for o in outcomes if o.trainable <= budget]


def undecided(outcomes: list[Outcome], result: StudyResult, noise: float) -> list[Outcome]:
    """Those of which each could be the best; the best alone while it has no interval; none once it is known.

    Args:
        outcomes: of which the best is asked for, at least one.
        result: the study.
        noise: as of `contenders`.
    """
    objectives = result.objectives
    best, *others = best_first(outcomes, objectives)
    short = score(best, objectives)
    near = [o for o in others if short - score(o, objectives) <= could_change(best, o, result, noise)]
    if near:
        return [best, *near]
    return [best] if len(best.curves) < AN_INTERVAL else []


def best_first(outcomes: Iterable[Outcome], objectives: Objectives) -> list[Outcome]:
    """Outcomes by the mean of their quality."""
    return sorted(outcomes, key=lambda o: -score(o, objectives))


def score(outcome: Outcome, objectives: Objectives) -> float:
    """The mean of the quality over seeds, higher is better."""
    mean = float(np.mean(outcome.over_seeds(objectives.quality, "validation")))
    return mean if objectives.quality.direction == "maximize" else -mean


def could_change(one: Outcome, other: Outcome, result: StudyResult, noise: float) -> float:
    """By how much the seeds that are left move a difference in one direction, with a chance of one in four."""
    return ONE_IN_FOUR * change_left(noise, len(one.curves), len(other.curves), result.spec["seeds"])


def compared(best: Outcome, result: StudyResult, noise: float) -> Iterator[str]:
    """The best, and the baselines that the verdict compares it with: until there is an interval, and while more is open.

    The ceiling answers no question, and gets the seeds of an interval only.
    """
    for other in result.outcomes:
        named = other.name in (DOING_NOTHING, USUAL_GUESS, UNIFORM_LORA) and other is not best
        few = len(other.curves) < AN_INTERVAL and other.name != DOING_NOTHING
        if few and (named or other.role == "ceiling") or named and open_words(best, other, result, noise):
            yield from behind(best, other)


def behind(*outcomes: Outcome) -> Iterator[str]:
    """Those of a comparison that have the fewest seeds; they are paired over the seeds that all have."""
    able = [o for o in outcomes if o.name != DOING_NOTHING]
    fewest = min(len(o.curves) for o in able)
    return (o.name for o in able if len(o.curves) == fewest)


def open_words(one: Outcome, other: Outcome, result: StudyResult, noise: float) -> set[Word]:
    """What all seeds together could say of one against the other; empty where another seed is not needed to say it.

    A comparison is over where the stricter level of an early look settles it, and where it says now what it would say
    with all seeds, whether the difference falls, rises or comes near zero by what the seeds left could change.
    """
    quality, margin, most = result.objectives.quality, margin_of(result), result.spec["seeds"]
    gap, seeds = gap_of(one, other, result, "validation"), min(len(one.curves), len(other.curves))
    if not wants_another_seed(gap, margin, seeds, most):
        return set()
    reach = could_change(one, other, result, noise)
    ends = (gap.mean - reach, float(np.clip(0, gap.mean - reach, gap.mean + reach)), gap.mean + reach)
    last = [Interval(mean, NAN, error_of_difference(noise, most, most), np.inf) for mean in ends]
    words = {judgement(x, margin, quality.direction) for x in (gap, *last)}
    return words if len(words) > 1 else set()


def lean(allowed: list[Outcome], result: StudyResult, noise: float) -> set[str]:
    """For each objective beside the quality: who could be the leanest that holds up, with uniform LoRA."""
    uniform = next((o for o in allowed if o.name == UNIFORM_LORA), None)
    if uniform is None:
        return set()
    return {name for o in result.objectives.others for name in lean_in(o, allowed, uniform, result, noise)}


def lean_in(
    objective: Objective, allowed: list[Outcome], uniform: Outcome, result: StudyResult, noise: float
) -> Iterator[str]:
    """Of what costs less than uniform LoRA in an objective: all that could hold up, down from the leanest to one that does.

    Args:
        objective: what is to be low.
        allowed: the outcomes within the limits.
        uniform: that of uniform LoRA.
        result: the study.
        noise: as of `contenders`.
    """

    def cost(outcome: Outcome) -> float:
        return objective.cost(float(np.mean(outcome.over_seeds(objective, "validation"))))

    leaner = sorted((o for o in allowed if cost(o) < cost(uniform)), key=cost)
    for outcome in leaner:
        if words := open_words(outcome, uniform, result, noise):
            if words & {"better", "equivalent"}:
                yield from behind(outcome, uniform)
        elif holds_up(outcome, uniform, result):
            return
    if leaner and len((best := best_first(leaner, result.objectives)[0]).curves) < AN_INTERVAL:
        yield best.name  # nothing is known to hold up, so the verdict compares the best of them with uniform LoRA
