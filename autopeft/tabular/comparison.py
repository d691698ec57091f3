"""Compare ways to search a tabular benchmark, seed by seed: their figures, and which of two is better."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from autopeft.front.intervals import judgement, over_seeds
from autopeft.study.rungs import shares_of
from autopeft.tabular.replay import Replay
from autopeft.tabular.trajectory import FULL_LENGTH_ONLY, SearchSetup, Trajectory

TRIALS = (10, 20, 40, 60)  # after which the hypervolume is printed
COSTS = (10, 20)  # full-length runs spent
ENOUGH = 0.98
WORDS = {"better": "more", "worse": "less", "undecided": "undecided"}  # for a difference of anything


def setups_of(
    samplers: Sequence[str], importances: Sequence[str], rungs: Sequence[str], transfer: bool
) -> list[SearchSetup]:
    """Every combination once, the plain ones first; with `transfer` also each with transfer.

    Raises:
        AutopeftError: Rungs are no shares of the full length.
    """
    made = [SearchSetup(*parts) for parts in product(samplers, importances, [shares_of(text) for text in rungs])]
    return list(dict.fromkeys([*made, *(replace(s, transfer=True) for s in made if transfer)]))


def compare(
    benchmark: Replay, setups: Sequence[SearchSetup], seeds: int, trials: int
) -> dict[SearchSetup, list[Trajectory]]:
    """Search the benchmark with each setup, with the same seeds.

    Args:
        benchmark: What is searched.
        setups: The ways to search it.
        seeds: Searches of each, with the seeds from 0.
        trials: Of each search.
    """
    return {setup: [benchmark.search(setup, seed, trials) for seed in range(seeds)] for setup in setups}


def setup_rows(found: dict[SearchSetup, list[Trajectory]]) -> list[dict[str, Any]]:
    """One row per setup: hypervolume at `TRIALS` and `COSTS` with half the 95 % interval, and how soon .98 comes."""
    rows = []
    for setup, trajectories in found.items():
        length = len(trajectories[0].share)
        row: dict[str, Any] = {"search": str(setup)}
        for trial in sorted({min(t, length) for t in TRIALS} | ({length} if length > max(TRIALS) else set())):
            row |= spread(f"at_{trial}", [t.share[trial - 1] for t in trajectories])
        for cost in (c for c in COSTS if c <= length):
            row |= spread(f"at_cost_{cost}", [t.at_cost(cost) for t in trajectories])
        reached = [t.trials_to(ENOUGH) for t in trajectories]
        there = [r for r in reached if r is not None]
        row |= {"reached_98": len(there) / len(reached), "trials_to_98": float(np.median(there)) if there else None}
        row |= {"reported": float(np.mean([t.reported for t in trajectories]))}
        rows.append(row | {"cost": float(np.mean([t.cost[-1] for t in trajectories]))})
    return rows


def spread(name: str, values: Sequence[float]) -> dict[str, float | None]:
    """A mean over seeds under `name`, and half its interval under `name_half`; None for a single seed."""
    inside = over_seeds(values)
    return {name: inside.mean, f"{name}_half": None if inside.half != inside.half else inside.half}


def pair_rows(found: dict[SearchSetup, list[Trajectory]]) -> list[dict[str, Any]]:
    """Each setup against the same one without its prior, its rungs or its transfer, paired by seed."""
    rows = []
    for setup in found:
        plainer = (
            replace(setup, importance="none"),
            replace(setup, rungs=FULL_LENGTH_ONLY),
            replace(setup, transfer=False),
        )
        for other in plainer:
            if other != setup and other in found:
                rows.append({"search": str(setup), "against": str(other), **paired(found[setup], found[other])})
    return rows


def paired(one: Sequence[Trajectory], other: Sequence[Trajectory]) -> dict[str, Any]:
    """Mean differences over seeds (one minus other), each with its 95 % interval and a word.

    A search that never reaches the share counts with all its trials, so read `trials` beside `arrived`.

    Args:
        one: Trajectories of one setup, a seed each.
        other: Those of the other, with the same seeds.

    Returns:
        `share`: the final share of the hypervolume. `equal_cost`: the share when both had spent the same. `trials`:
        trials to .98 of the other's final share. `arrived`: how many of `one` got there, as a share.
    """
    targets = [ENOUGH * t.share[-1] for t in other]
    equal = [min(a.cost[-1], b.cost[-1]) for a, b in zip(one, other)]
    mine, its = ([t.trials_to(x) or len(t.share) for t, x in zip(side, targets)] for side in (one, other))
    gaps = {
        "share": [a.share[-1] - b.share[-1] for a, b in zip(one, other)],
        "equal_cost": [a.at_cost(c) - b.at_cost(c) for a, b, c in zip(one, other, equal)],
        "trials": [a - b for a, b in zip(mine, its)],
    }
    row: dict[str, Any] = {}
    for name, values in gaps.items():
        gap = over_seeds(values)
        row |= {
            name: gap.mean,
            f"{name}_low": gap.low,
            f"{name}_high": gap.high,
            f"{name}_is": WORDS[judgement(gap, 0)],
        }
    arrived = np.mean([t.trials_to(x) is not None for t, x in zip(one, targets)])
    return {k: None if v != v else v for k, v in row.items()} | {"arrived": float(arrived)}
