"""Full-length runs so far -> the seeds that each candidate gets: round by round, as long as it could be an answer.

Every round is replayed from the runs that it had before it, so a search that was killed decides as it would have.
"""

from collections.abc import Callable, Iterable, Mapping
from math import inf, sqrt
from typing import Any, TypeAlias, TypeVar

import numpy as np

from autopeft.study.records import Outcome

Run: TypeAlias = dict[str, Any]  # a line of outcomes.jsonl
Seeds: TypeAlias = dict[str, int]  # candidate -> how many seeds it gets
Contenders: TypeAlias = Callable[[tuple[Outcome, ...], float], set[str]]  # by what one run varies: who goes on
Missing = TypeVar("Missing")


def race(
    most: Mapping[str, int],
    missing: Callable[[Seeds], list[Missing]],
    contenders: Callable[[Seeds], set[str]],
) -> tuple[Seeds, list[Missing]]:
    """Replay the race up to the first round that has not been run.

    Args:
        most: candidate -> the most seeds that it may get. All get one.
        missing: which runs those seeds still lack.
        contenders: who gets another seed, by the runs of those seeds.

    Returns:
        Candidate -> its seeds, and the runs to make now; none where the race is over.
    """
    seeds = dict.fromkeys(most, 1)
    while not (left := missing(seeds)):
        again = {name: seeds[name] + 1 for name in contenders(seeds) if seeds.get(name, 0) < most.get(name, 0)}
        if not again:
            break
        seeds |= again
    return seeds, left


def run_noise(runs: Iterable[Run], value: Callable[[Run, int | None], float | None]) -> float:
    """The standard deviation of one run, pooled over all that was trained with more than one seed.

    Where a candidate has one seed only, it is read at the step up to which its rate was tuned, beside the tuning run.

    Args:
        runs: finalists', baselines' and tuning runs.
        value: what is read of a run after a step, or at its end (None); None where that was not measured.

    Returns:
        The standard deviation on the same rows; infinite where nothing has two seeds yet.
    """
    groups: dict[tuple[str, float], list[Run]] = {}
    for run in runs:
        groups.setdefault((run["name"], run["configuration"]["learning_rate"]), []).append(run)
    found = ([x for x in values_of(group, value) if x is not None] for group in groups.values())
    several = [values for values in found if len(values) > 1]
    if not several:
        return inf
    squares = sum(len(values) * float(np.var(values)) for values in several)
    return sqrt(squares / sum(len(values) - 1 for values in several))


def values_of(group: list[Run], value: Callable[[Run, int | None], float | None]) -> list[float | None]:
    """What is read of the runs of one candidate at one rate."""
    tuning = [r for r in group if r["role"] == "tuning"]
    seeds = [r for r in group if r["role"] != "tuning"]
    if len(seeds) > 1 or not tuning:
        return [value(r, None) for r in seeds]
    step = end_of(tuning[0])
    return [value(r, step) for r in group]


def end_of(run: Run) -> int:
    """The step at which a run ended."""
    return int(run["curve"]["steps"][-1])


def error_of_difference(noise: float, one: int, other: int) -> float:
    """The standard error of the difference of two means over so many runs on the same rows."""
    return noise * sqrt(1 / one + 1 / other)


def change_left(noise: float, one: int, other: int, most: int) -> float:
    """The standard error of what the difference of two means still changes by until both have the most seeds."""
    return noise * sqrt(max(0.0, 1 / one + 1 / other - 2 / most))


def was_luck(losses: list[float], next_best: float, noise: float) -> bool:
    """Whether a tuned rate won by luck: no seed comes near the loss that the next best rate had when tuned.

    Args:
        losses: of the seeds at the tuned rate, after as many steps; none where all of them failed.
        next_best: the loss of the next best rate.
        noise: the standard deviation of one run's loss.
    """
    return not losses or min(losses) > next_best + error_of_difference(noise, 1, 1)
