"""Several ways to search a table, same seeds -> their figures, and which of two is better. Imports no torch."""

from dataclasses import replace
from itertools import product

import numpy as np

from autopeft.front.intervals import judgement, over_seeds
from autopeft.tabular.halving import ladder_of
from autopeft.tabular.replay import NO_RUNGS, Arm, Course, Replay

MARKS = (10, 20, 40, 60)  # trials at which the hypervolume is printed
COSTS = (10, 20)  # full-length runs spent
ENOUGH = 0.98
SAID = {"better": "more", "worse": "less", "within noise": "within noise"}  # of a difference, whatever it is of


def arms_of(samplers, importances, rungs, transfer: bool) -> list[Arm]:
    """Every combination, the plain ones first; with a transfer table also each with transfer."""
    for text in rungs:
        if text != NO_RUNGS:
            ladder_of(text)
    made = [Arm(*parts) for parts in product(samplers, importances, rungs)]
    return list(dict.fromkeys([*made, *(replace(a, transfer=True) for a in made if transfer)]))


def contest(table: Replay, arms: list[Arm], seeds: int, trials: int) -> dict[Arm, list[Course]]:
    """Each arm's searches, seed by seed."""
    return {arm: [table.search(arm, seed, trials) for seed in range(seeds)] for arm in arms}


def arm_rows(courses: dict[Arm, list[Course]]) -> list[dict]:
    """One row per arm: shares at MARKS and COSTS, half the 95 % interval, and how soon .98 comes."""
    rows = []
    for arm, found in courses.items():
        length = len(found[0].share)
        row: dict = {"search": str(arm)}
        for mark in sorted({min(m, length) for m in MARKS} | ({length} if length > max(MARKS) else set())):
            row |= spread(f"at_{mark}", [c.share[mark - 1] for c in found])
        for cost in (c for c in COSTS if c <= length):
            row |= spread(f"at_cost_{cost}", [c.at_cost(cost) for c in found])
        reached = [c.trials_to(ENOUGH) for c in found]
        there = [r for r in reached if r is not None]
        row |= {"reached_98": len(there) / len(found), "trials_to_98": float(np.median(there)) if there else None}
        row |= {"reported": float(np.mean([c.reported for c in found]))}
        rows.append(row | {"cost": float(np.mean([c.cost[-1] for c in found]))})
    return rows


def spread(name: str, values: list[float]) -> dict:
    """A mean over seeds and half its interval."""
    found = over_seeds(values)
    return {name: found.mean, f"{name}_half": None if found.half != found.half else found.half}


def pair_rows(courses: dict[Arm, list[Course]]) -> list[dict]:
    """Each arm against the same arm without its prior, its rungs or its transfer: paired differences over seeds."""
    rows = []
    for arm in courses:
        for field, plain in (("importance", "none"), ("rungs", NO_RUNGS), ("transfer", False)):
            other = replace(arm, **{field: plain})
            if other != arm and other in courses:
                rows.append({"search": str(arm), "against": str(other), **paired(courses[arm], courses[other])})
    return rows


def paired(one: list[Course], other: list[Course]) -> dict:
    """Mean differences (one minus other): final share, share at equal cost, trials to ENOUGH of the other's final share.

    A search that never gets there counts with all its trials, so `trials` is read beside `arrived`, the share that did.
    """
    targets = [ENOUGH * c.share[-1] for c in other]
    equal = [min(a.cost[-1], b.cost[-1]) for a, b in zip(one, other)]
    first = [[c.trials_to(t) or len(c.share) for c, t in zip(courses, targets)] for courses in (one, other)]
    gaps = {
        "share": [a.share[-1] - b.share[-1] for a, b in zip(one, other)],
        "equal_cost": [a.at_cost(c) - b.at_cost(c) for a, b, c in zip(one, other, equal)],
        "trials": np.subtract(*first),
    }
    found: dict = {}
    for name, values in gaps.items():
        gap = over_seeds(values)
        found |= {name: gap.mean, f"{name}_low": gap.low, f"{name}_high": gap.high, f"{name}_is": SAID[judgement(gap)]}
    arrived = np.mean([c.trials_to(t) is not None for c, t in zip(one, targets)])
    return {k: None if v != v else v for k, v in found.items()} | {"arrived": float(arrived)}


def figure(courses: dict[Arm, list[Course]]):
    """The share of the table's hypervolume over trials, a band (95 % interval of the mean) per search."""
    import plotly.graph_objects as go

    from autopeft.report.figures import LAYOUT, PALETTE

    drawn = go.Figure(layout=LAYOUT)
    for number, (arm, found) in enumerate(courses.items()):
        colour, name = PALETTE[number % len(PALETTE)], str(arm)
        inside = [over_seeds(column) for column in np.array([c.share for c in found]).T]
        trials = list(range(1, len(inside) + 1))
        mean = [i.mean for i in inside]
        low, high = ([x if x == x else i.mean for x, i in zip(ends, inside)] for ends in ends_of(inside))
        band = {"line": {"width": 0}, "legendgroup": name, "showlegend": False, "hoverinfo": "skip", "mode": "lines"}
        drawn.add_scatter(x=trials, y=low, **band)
        drawn.add_scatter(x=trials, y=high, fill="tonexty", fillcolor=faint(colour), **band)
        drawn.add_scatter(x=trials, y=mean, name=name, legendgroup=name, line={"color": colour}, mode="lines")
    return drawn.update_xaxes(title="trials").update_yaxes(title="share of the table's hypervolume")


def ends_of(inside) -> tuple[list[float], list[float]]:
    return [i.low for i in inside], [i.high for i in inside]


def faint(colour: str) -> str:
    """ "#c2410c" -> the same, nearly transparent."""
    return "rgba({},{},{},0.15)".format(*(int(colour[i : i + 2], 16) for i in (1, 3, 5)))
