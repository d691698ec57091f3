"""Runs and traces of SmolLM2 -> tables: loss by cut, regret of the chosen cuts, stability of the trace's cut."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from cut_traces import GROUP, cuts_of, deviation, drawn_cuts

from autopeft.backbone.shapes import BackboneShapes
from autopeft.importance.semantic_trace import DEVIATIONS

RESAMPLES = 2000
DEFAULT_ROWS = 512  # of the trace
ENOUGH = 8  # trained cuts


class Sweep:
    """The runs of one task and method at equal time or at equal steps: what each validation unit measured.

    Args:
        lines: of the runs, only seeds that trained every cut are kept.
        quantity: "loss", or for questions "right".
        layers: L; the cuts between two trained ones are read off a straight line between them.
    """

    def __init__(self, lines: list[dict], quantity: str, layers: int) -> None:
        self.cuts = sorted({x["cut"] for x in lines})
        by_seed = defaultdict(dict)
        for x in lines:
            by_seed[x["seed"]][x["cut"]] = x
        self.seeds = sorted(seed for seed, found in by_seed.items() if len(found) == len(self.cuts))
        trained = np.array([[by_seed[s][c][quantity] for c in self.cuts] for s in self.seeds])
        self.weights = np.array(lines[0]["weight"])
        self.steps = [by_seed[self.seeds[0]][c]["steps"] for c in self.cuts]
        lowest = np.searchsorted(self.cuts, np.arange(layers), side="right").clip(1, len(self.cuts) - 1) - 1
        ends = np.array(self.cuts)
        share = (np.arange(layers) - ends[lowest]) / (ends[lowest + 1] - ends[lowest])
        self.units = trained[:, lowest] + share[:, None] * (trained[:, lowest + 1] - trained[:, lowest])

    def mean(self) -> np.ndarray:
        """Of every cut 0 .. L-1, over seeds and units."""
        return np.average(self.units, axis=2, weights=self.weights).mean(axis=0)

    def difference(self, one: Sequence[int], other: Sequence[int]) -> tuple[float, float, float]:
        """The mean over some cuts minus that over others, with the 95 % interval of a bootstrap over seeds and units.

        Every resample takes the same seeds and units of all cuts.
        """
        gap = self.units[:, list(one)].mean(axis=1) - self.units[:, list(other)].mean(axis=1)
        generator, (seeds, units) = np.random.default_rng(0), gap.shape
        taken = generator.multinomial(units, np.full(units, 1 / units), size=RESAMPLES) * self.weights
        of_seeds = generator.multinomial(seeds, np.full(seeds, 1 / seeds), size=RESAMPLES) / seeds
        resampled = np.einsum("rs,su,ru->r", of_seeds, gap, taken / taken.sum(axis=1, keepdims=True))
        centre = float(np.average(gap, axis=1, weights=self.weights).mean())
        return centre, *np.percentile(resampled, [2.5, 97.5])


def print_tables(lines: list[dict], groups: list[dict], shapes: BackboneShapes) -> None:
    """Everything that docs/numbers.md quotes."""
    layers = shapes.num_layers
    for task in sorted({x["task"] for x in groups + lines}):
        own = [g for g in groups if g["task"] == task]
        if own:
            print_traces(task, own, shapes)
        for method in sorted({x["method"] for x in lines}, reverse=True):
            for equal in ("time", "measured time", "steps"):
                mine = [x for x in lines if (x["task"], x["method"]) == (task, method) and equal in x["equal"]]
                if {0, layers - 1} <= {x["cut"] for x in mine}:  # the first seed is through
                    print_sweep(f"{task}, {method}, equal {equal}", mine, own, shapes)
    for x in lines:
        if not x["equal"]:
            loss = np.average(x["loss"], weights=x["weight"])
            print(
                f"{x['task']}, {x['method']}, cut {x['cut']}, {x['steps']} steps, rate {x['rate']:g}: loss {loss:.4f}"
            )


def print_traces(task: str, groups: list[dict], shapes: BackboneShapes) -> None:
    """The deviation by layer, the cut of all rows, and those of draws."""
    rows = len(groups) * GROUP
    print(f"\n{task}: traces of {rows} rows, {sum(g['positions'] for g in groups)} positions")
    for of in DEVIATIONS:
        print(f"{of}: " + " ".join(f"{d:.3f}" for d in deviation(groups, of)))
        print(f"  cuts of all rows {cuts_of(groups, of, shapes)}")
    for (of, gain, rows), found in drawn_cuts(groups, shapes).items():
        print(f"  {of:11s} {gain:7s} {rows:3d} rows: {' '.join(map(str, found))}")


def print_sweep(title: str, lines: list[dict], groups: list[dict], shapes: BackboneShapes) -> None:
    """Losses and scores by cut, then the regrets in loss where enough cuts are trained to read off the others."""
    layers = shapes.num_layers
    loss = Sweep(lines, "loss", layers)
    right = Sweep(lines, "right", layers) if any(map(any, (x["right"] for x in lines))) else None
    print(f"\n{title}: seeds {loss.seeds}, rate {lines[0]['rate']:g}")
    for cut, steps in zip(loss.cuts, loss.steps):
        accuracy = f", accuracy {right.mean()[cut]:.3f}" if right else ""
        print(f"cut {cut:2d}: {steps} steps, loss {loss.mean()[cut]:.4f}{accuracy}; to cut 0 {told(loss, [cut], [0])}")
    if len(loss.cuts) >= ENOUGH:
        print_regrets(loss, groups, shapes)


def print_regrets(loss: Sweep, groups: list[dict], shapes: BackboneShapes) -> None:
    """What each way to choose a cut loses against the best, the middle and a random one."""
    layers, best = shapes.num_layers, int(loss.mean().argmin())
    middle, random = [layers // 2], list(range(layers))
    policies = {(0,): ["none"], tuple(middle): ["middle"], tuple(random): ["random"]}
    for (of, gain, rows), cuts in drawn_cuts(groups, shapes).items() if groups else ():
        if rows == DEFAULT_ROWS:
            policies.setdefault(tuple(cuts), []).append(f"{of} {gain}")
    print(f"best: cut {best}. Loss over that of the best, of the middle and of a random cut, with 95 % intervals")
    for cuts, names in policies.items():
        gaps = "; ".join(told(loss, cuts, other) for other in ([best], middle, random))
        print(f"cut {np.mean(cuts):4.1f} ({', '.join(names)}): {gaps}")


def told(loss: Sweep, one: Sequence[int], other: Sequence[int]) -> str:
    """A difference with its interval."""
    return "{:+.3f} ({:+.3f} to {:+.3f})".format(*loss.difference(one, other))
