"""How well a reading of a rung ranks runs as their end does, and whether it is biased against high learning rates.

    python tests/benchmarks/rung_tables.py studies/benchmarks/rotten-tomatoes.csv studies/benchmarks/vader-movies.csv
    python tests/benchmarks/rung_tables.py studies/benchmarks/rungs.jsonl       (what tests/benchmarks/rungs.py measured)

The end is the loss of the test split at full length. A rank error is the rank at the rung minus the rank at the end: positive
where the rung thinks too little of a run. A rate's place is where it lies in its method's range, on a log scale. Printed:
Spearman of rung and end; `bias`, Spearman of rank error and place, with its p; the same within the better half of the ends;
the share of the best third, and of the front beside the parameters, that is lost when a third is promoted. Of measured
readings also the gain in Spearman over the raw one (95 % of resampled configurations). Of two benchmarks also what promotion
at the first rung keeps of the hypervolume when the raw ranks are corrected by a line in the place, fitted to the other one.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata, spearmanr

from autopeft.base.pareto import non_dominated
from autopeft.base.recipe import ETA, RUNGS
from autopeft.methods import get_method
from autopeft.study.promotion import promoted
from autopeft.study.rungs import shares_of
from autopeft.tabular.benchmark import TabularBenchmark
from autopeft.tabular.halving import SEARCHES, one_search
from autopeft.tabular.runs import runs_of

RESAMPLES = 400
FIRST = 24  # the step of the first rung

Array = np.ndarray


@dataclass(frozen=True)
class Reading:
    """N runs: what was read at a rung and the end, lower is better; the places of their rates; their parameters."""

    rung: Array
    end: Array
    places: Array
    sizes: Array

    @property
    def error(self) -> Array:
        """The rank errors as shares of N."""
        return (rankdata(self.rung) - rankdata(self.end)) / len(self.end)

    @property
    def better(self) -> Array:
        """The better half by the end."""
        return np.argsort(self.end, kind="stable")[: len(self.end) // 2]


def place(method: str, rate: float) -> float:
    """Where a rate lies in its method's range, on a log scale: 0 to 1."""
    low, high = get_method(method).learning_rate
    return float(np.log(rate / low) / np.log(high / low))


def figures(readings: list[Reading]) -> dict[str, float]:
    """The figures of one kind of reading: the rank errors of all samples are one sample, the other figures are means."""
    error, places = (np.concatenate([getattr(r, k) for r in readings]) for k in ("error", "places"))
    bias = spearmanr(error, places)
    half = spearmanr(*(np.concatenate([x[r.better] for r, x in zip(readings, xs)]) for xs in halves(readings)))
    return {
        "spearman": float(np.mean([spearmanr(r.rung, r.end).statistic for r in readings])),
        "bias": bias.statistic,
        "p": bias.pvalue,
        "better half": half.statistic,
        "its p": half.pvalue,
        "third lost": float(np.mean([third_lost(r) for r in readings])),
        "front lost": float(np.mean([front_lost(r) for r in readings])),
    }


def halves(readings: list[Reading]) -> tuple[list[Array], list[Array]]:
    return [r.error for r in readings], [r.places for r in readings]


def third_lost(reading: Reading) -> float:
    """The share of the best third by the end that is not in the best third by the rung."""
    third = round(len(reading.end) / ETA)
    best, kept = (np.argsort(x, kind="stable")[:third] for x in (reading.end, reading.rung))
    return 1 - len(np.intersect1d(best, kept)) / third


def front_lost(reading: Reading) -> float:
    """The share of the front of (parameters, end) that promotion by (parameters, rung) prunes."""
    front = np.flatnonzero(non_dominated(np.column_stack([reading.sizes, reading.end])))
    kept = promoted(np.column_stack([reading.sizes, reading.rung]), range(len(reading.end)), ETA)
    return 1 - len(np.intersect1d(front, kept)) / len(front)


def rows_of(path: str) -> pd.DataFrame:
    """A benchmark's rows with the place of each rate."""
    rows = TabularBenchmark.read(path).rows
    rows["place"] = [place(m, r) for m, r in zip(rows["method"], rows["learning_rate"])]
    return rows


def stored(path: str) -> pd.DataFrame:
    """A row per rung of a benchmark; a seed is a sample."""
    rows, found = rows_of(path), []
    *rungs, full = sorted(rows["step"].unique())
    for step in rungs:
        samples = []
        for _, own in rows.groupby("seed"):
            at, end = (own[own["step"] == s].set_index("configuration") for s in (step, full))
            values = at["validation_loss"], end["test_loss"].loc[at.index], at["place"], at["trainable"]
            samples.append(Reading(*(x.to_numpy(float) for x in values)))
        found.append({"rung": f"{step}/{full}", **figures(samples)})
    return pd.DataFrame(found)


def measured(path: Path) -> dict[str, pd.DataFrame]:
    """A row per reading: of each benchmark, and of all."""
    runs = pd.DataFrame([json.loads(line) for line in path.read_text().splitlines()])
    joined = {name: with_ends(name, own) for name, own in runs.groupby("benchmark")}
    kinds = [c for c in runs if c not in ("benchmark", "configuration", "seconds", "failure")]
    found: dict[str, dict[str, Reading]] = {}
    for name, own in joined.items():
        read = {k: own[k].to_numpy() for k in kinds} | {"raw, all rows": own["validation_loss"].to_numpy()}
        read["raw score, all rows"] = -own["validation_score"].to_numpy()
        read["raw, within thirds of rates"] = within_thirds(read["raw"], own["place"].to_numpy())
        for other in (o for n, o in joined.items() if n != name):
            line = line_in_place(other["raw"], other["end"], other["place"])
            read["raw, corrected"] = corrected(read["raw"], own["place"], line)
        known = [own[k].to_numpy(float) for k in ("end", "place", "trainable")]
        found[str(name)] = {kind: Reading(values, *known) for kind, values in read.items()}
    each = {name: [readings] for name, readings in found.items()} | {"all": list(found.values())}
    return {name: pd.DataFrame([row_of(kind, x) for kind in x[0]]) for name, x in each.items()}


def row_of(kind: str, found: list[dict[str, Reading]]) -> dict[str, Any]:
    """The figures of a kind of reading, and its gain in Spearman over the raw one."""
    mine, raw = ([readings[k] for readings in found] for k in (kind, "raw"))
    low, high = np.percentile(np.mean([resampled(m, r) for m, r in zip(mine, raw)], axis=0), [2.5, 97.5])
    row = figures(mine)
    gain = row["spearman"] - figures(raw)["spearman"]
    return {"reading": kind, "runs": sum(len(m.end) for m in mine), **row, "gain": gain, "low": low, "high": high}


def resampled(mine: Reading, raw: Reading) -> Array:
    """The gain in Spearman over resampled configurations, (RESAMPLES,)."""
    draws = np.random.default_rng(0).integers(len(mine.end), size=(RESAMPLES, len(mine.end)))
    ranks = [[rankdata(x[d]) for d in draws] for x in (mine.rung, raw.rung, mine.end)]
    return np.array([np.corrcoef(m, e)[0, 1] - np.corrcoef(r, e)[0, 1] for m, r, e in zip(*ranks)])


def with_ends(name: Any, runs: pd.DataFrame) -> pd.DataFrame:
    """Measured runs beside what the benchmark knows of them: the end is the mean of its seeds."""
    rows = rows_of(name)
    end = rows.groupby("configuration")["test_loss"].mean().rename("end")
    first = rows[(rows["seed"] == rows["seed"].min()) & (rows["step"] == FIRST)].set_index("configuration")
    return runs.set_index("configuration").join(first.drop(columns=["seconds"]).join(end)).dropna(subset=["raw"])


def within_thirds(rung: Array, places: Array) -> Array:
    """Ranks among the runs of about the same rate only, as shares."""
    third, found = rankdata(places, "ordinal") * 3 // (len(places) + 1), np.empty(len(rung))
    for t in range(3):
        found[third == t] = rankdata(rung[third == t]) / (third == t).sum()
    return found


def line_in_place(rung: Array, end: Array, places: Array) -> Array:
    """Least squares of the end's rank in the rung's rank and the place: the two slopes."""
    ranks, ends = rankdata(rung) / len(rung), rankdata(end) / len(end)
    return np.linalg.lstsq(np.column_stack([ranks, places, np.ones(len(ranks))]), ends, rcond=None)[0][:2]


def corrected(rung: Array, places: Array, line: Array) -> Array:
    """Ranks corrected by a line that other runs gave."""
    return line[0] * rankdata(rung) / len(rung) + line[1] * np.asarray(places)


def kept(path: str, other: str) -> dict[str, Any]:
    """The hypervolume that searches keep which promote by raw and by corrected ranks at the first rung."""
    found = []
    for name in (path, other):
        benchmark = TabularBenchmark.read(name)
        runs, every = runs_of(benchmark), benchmark.configurations()
        places = np.array([place(every[k].method, every[k].learning_rate) for k in runs.keys])
        found.append((runs, places, list(runs.steps).index(FIRST)))
    (runs, places, at), (its, its_places, its_at) = found
    line = line_in_place(its.signals["validation_loss"][:, its_at], its.tested["loss"], its_places)
    both = {"raw": runs.signals["validation_loss"], "corrected": runs.signals["validation_loss"].copy()}
    both["corrected"][:, at] = corrected(both["raw"][:, at], places, line)
    runs.signals.update(both)
    row: dict[str, Any] = {"benchmark": path}
    for signal in both:
        shares = [one_search(runs, shares_of(RUNGS), ETA, signal, "validation_loss", s)[1] for s in range(SEARCHES)]
        row |= {signal: np.mean(shares), f"{signal}, half": 1.96 * np.std(shares, ddof=1) / len(shares) ** 0.5}
    return row


def main() -> None:
    pd.set_option("display.width", 250, "display.max_columns", 20)
    names = sys.argv[1:]
    tables = [(n, t) for name in names if name.endswith(".jsonl") for n, t in measured(Path(name)).items()]
    tables += [(name, stored(name)) for name in names if name.endswith(".csv")]
    if len(names) == 2 and all(name.endswith(".csv") for name in names):
        tables += [(f"hypervolume kept, rungs {RUNGS}", pd.DataFrame([kept(*names), kept(*names[::-1])]))]
    for title, table in tables:
        print(f"{title}\n{table.round(3).to_string(index=False)}\n")


if __name__ == "__main__":
    main()
