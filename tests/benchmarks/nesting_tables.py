"""What the lines of nesting.py say: scores, order and cost of nested runs against separate ones, as markdown.

An order is judged seed by seed: configurations are ordered by the validation loss of one seed's run, and held against the
test results of the separate runs with the other seeds. Beside the nested runs stand what they compete with: the separate
runs of one seed, and the rule that more ranks and more layers are better.
"""

from collections.abc import Callable, Iterable, Mapping
from itertools import groupby

import numpy as np
from scipy.stats import kendalltau

Place = tuple[int, int]  # (rank, upper layers that are adapted)
Results = dict[int, dict[Place, dict[str, tuple[float, float]]]]  # seed -> place -> split -> (loss, score)

SEPARATE, LARGEST = "separate runs of one seed", "more is better"


def tables(lines: Iterable[dict]) -> str:
    """Both tables of every data set that was trained on."""

    def setting(line: dict) -> tuple:
        return line["data"], line["model"], line["steps"]

    found = []
    for (data, model, steps), group in groupby(sorted(lines, key=setting), setting):
        ways = results(list(group))
        found += [f"{data}, {model}, {steps} steps", scores(ways), orders(ways)]
    return "\n\n".join(found)


def results(lines: list[dict]) -> dict[str, tuple[Results, float]]:
    """Way of training and reading -> (its results at the rates that were chosen, seconds of a run on all layers)."""
    found: dict[str, tuple[Results, list[float]]] = {}
    deepest = max(line["depth"] for line in lines)
    for line in lines:
        for way, rate in line["best"].items():
            name = line["how"] if line["how"] == "separate" else f"{line['how']}, {way}"
            by_seed, seconds = found.setdefault(name, ({}, []))
            seconds += line["seconds"] if line["depth"] == deepest else []
            for reading in line["test"].get(rate, {}):
                if reading.startswith(way):
                    rank, depth = map(int, reading.split()[1].split("/"))
                    both = {part: tuple(line[part][rate][reading]) for part in ("validation", "test")}
                    by_seed.setdefault(line["seed"], {})[rank, depth] = both
    most = max(map(len, found["separate"][0].values()))
    whole = {seed: places for seed, places in found["separate"][0].items() if len(places) == most}
    found["separate"] = whole, found["separate"][1]  # a seed under way judges nobody
    return {name: (by_seed, float(np.mean(seconds))) for name, (by_seed, seconds) in found.items()}


def scores(ways: Mapping[str, tuple[Results, float]]) -> str:
    """A row per rank and depth; validation and test score, of nested runs the difference to the separate ones too."""
    truth = ways["separate"][0]
    places = sorted(next(iter(truth.values())), key=lambda place: (-place[1], place[0]))
    names = [f"{name} (seeds: {len(by_seed)})" for name, (by_seed, _) in ways.items()]
    lines = ["| rank, upper layers | " + " | ".join(names) + " |", "|---" * (len(ways) + 1) + "|"]
    for place in places:
        cells = [cell(by_seed, truth, place) for by_seed, _ in ways.values()]
        lines.append(f"| {place[0]}, {place[1]} | " + " | ".join(cells) + " |")
    costs = [seconds / ways["separate"][1] for _, seconds in ways.values()]
    lines.append("| time of a step on all layers | " + " | ".join(f"{cost:.2f}" for cost in costs) + " |")
    return "\n".join(lines)


def cell(by_seed: Results, truth: Results, place: Place) -> str:
    """Mean validation and test score, and the paired difference of the test scores with its standard error in points."""
    seeds = [seed for seed in by_seed if place in by_seed[seed]]
    if not seeds:
        return ""
    validation, test = (np.mean([by_seed[s][place][p][1] for s in seeds]) for p in ("validation", "test"))
    shown = f"{validation:.3f}, {test:.3f}"
    if by_seed is truth:
        return shown
    gaps = [100 * (by_seed[s][place]["test"][1] - truth[s][place]["test"][1]) for s in seeds if s in truth]
    error = f" ± {np.std(gaps, ddof=1) / len(gaps) ** 0.5:.1f}" if len(gaps) > 1 else ""
    return f"{shown} ({np.mean(gaps):+.1f}{error})"


def orders(ways: Mapping[str, tuple[Results, float]]) -> str:
    """A row per way: Kendall's tau with the test losses, and points of test score lost by taking its first."""
    truth = ways["separate"][0]
    places = list(next(iter(truth.values())))
    deepest = max(depth for _, depth in places)
    ranks = [place for place in places if place[1] == deepest]
    shallow = [place for place in places if place[1] < deepest]
    layers = [(rank, depth) for rank, depth in places if shallow and rank == shallow[0][0]]
    rows: dict[str, Callable[[int, Place], float | None]] = {LARGEST: lambda _, place: -place[0] * place[1]}
    for name, (by_seed, _) in ways.items():
        rows[SEPARATE if name == "separate" else name] = lambda seed, place, found=by_seed: loss(found, seed, place)
    head = [f"{what}: {of}" for what in ("ranks", "layers", "both") for of in ("tau", "lost")]
    lines = ["| ordered by | " + " | ".join(head) + " |", "|---" * (len(head) + 1) + "|"]
    for name, estimate in rows.items():
        cells = [f"{x:.2f}" for of in (ranks, layers, places) for x in judged(estimate, truth, of)]
        lines.append(f"| {name} | " + " | ".join(cells).replace("nan", "") + " |")
    return "\n".join(lines)


def loss(found: Results, seed: int, place: Place) -> float | None:
    """The validation loss of one run at one place, None where it was not read."""
    result = found.get(seed, {}).get(place)
    return None if result is None else result["validation"][0]


def judged(estimate: Callable[[int, Place], float | None], truth: Results, places: list[Place]) -> tuple[float, float]:
    """Kendall's tau and the loss of score in points, means over the seeds that have every place; NaN without any."""
    found = []
    for seed in truth:
        others = [s for s in truth if s != seed] or [seed]
        values = [estimate(seed, place) for place in places]
        if len(places) > 1 and None not in values:
            losses, test = ([np.mean([truth[s][place]["test"][i] for s in others]) for place in places] for i in (0, 1))
            tau = kendalltau(values, losses).statistic
            found.append((tau, 100 * (max(test) - test[int(np.argmin(values))])))
    return tuple(np.mean(found, axis=0)) if found else (np.nan, np.nan)
