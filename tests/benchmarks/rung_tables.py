"""How well a reading of a rung ranks runs as their end does, and whether it is biased against high learning rates.

    python tests/benchmarks/rung_tables.py studies/benchmarks/rotten-tomatoes.csv studies/benchmarks/vader-movies.csv
    python tests/benchmarks/rung_tables.py /tmp/rungs.jsonl        (what tests/benchmarks/rungs.py measured)

The end is the loss of the test split at full length. A rank error is the rank at the rung minus the rank at the end: positive
where the rung thinks too little of a run. A rate's place is where it lies in its method's range, on a log scale. Printed:
Spearman of rung and end; `bias`, Spearman of rank error and place, with its p; the same within the better half of the ends;
the share of the best third, and of the front beside the parameters, that is lost when a third is promoted; the places of the
best third's runs that are lost and of the runs that take theirs. Of measured readings also the difference of Spearman to the
raw one (95 % of resampled configurations).
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import rankdata, spearmanr

from autopeft.base.pareto import non_dominated
from autopeft.methods import get_method
from autopeft.study.promotion import promoted
from autopeft.tabular.benchmark import TabularBenchmark

ETA = 3
RESAMPLES = 1000
FIRST = 24  # the step of the rung that is measured

Array = np.ndarray


def place(method: str, rate: float) -> float:
    """Where a rate lies in its method's range, on a log scale: 0 to 1."""
    low, high = get_method(method).learning_rate
    return float(np.log(rate / low) / np.log(high / low))


def judged(rung: Array, end: Array, places: Array, sizes: Array) -> dict[str, float]:
    """The figures of one reading of N runs; lower is better for `rung` and `end`."""
    error, third = rankdata(rung) - rankdata(end), round(len(end) / ETA)
    order, chosen = (np.argsort(x, kind="stable") for x in (end, rung))
    bias, half = spearmanr(error, places), order[: len(end) // 2]
    lost = np.setdiff1d(order[:third], chosen[:third])
    instead = np.setdiff1d(chosen[:third], order[:third])
    front = np.flatnonzero(non_dominated(np.column_stack([sizes, end])))
    kept = promoted(np.column_stack([sizes, rung]), range(len(end)), ETA)
    return {
        "spearman": spearmanr(rung, end).statistic,
        "bias": bias.statistic,
        "p": bias.pvalue,
        "better half": spearmanr(error[half], places[half]).statistic,
        "p ": spearmanr(error[half], places[half]).pvalue,
        "third lost": len(lost) / third,
        "front lost": 1 - len(np.intersect1d(front, kept)) / len(front),
        "place lost": places[lost].mean() if len(lost) else np.nan,
        "instead": places[instead].mean() if len(instead) else np.nan,
    }


def rows_of(path: str) -> pd.DataFrame:
    """A benchmark's rows with the place of each rate."""
    rows = TabularBenchmark.read(path).rows
    rows["place"] = [place(m, r) for m, r in zip(rows["method"], rows["learning_rate"])]
    return rows


def stored(path: str) -> pd.DataFrame:
    """A row per rung: the mean over the benchmark's seeds; for the bias the rank errors of all seeds are one sample."""
    rows, found = rows_of(path), []
    *rungs, full = sorted(rows["step"].unique())
    for step in rungs:
        each, errors, places = [], [], []
        for _, own in rows.groupby("seed"):
            at, end = (own[own["step"] == s].set_index("configuration") for s in (step, full))
            rung, final = at["validation_loss"], end["test_loss"].loc[at.index]
            each.append(judged(*(x.to_numpy(float) for x in (rung, final, at["place"], at["trainable"]))))
            errors += list(rankdata(rung) - rankdata(final))
            places += list(at["place"])
        bias = spearmanr(errors, places)
        found.append({"rung": f"{step}/{full}", **pd.DataFrame(each).mean(), "bias": bias.statistic, "p": bias.pvalue})
    return pd.DataFrame(found)


def measured(path: Path) -> dict[str, pd.DataFrame]:
    """A row per reading, by benchmark."""
    runs = pd.DataFrame([json.loads(line) for line in path.read_text().splitlines()])
    joined = {name: with_ends(name, own) for name, own in runs.groupby("benchmark")}
    names = [c for c in runs if c not in ("benchmark", "configuration", "seconds", "failure")]
    found = {}
    for name, own in joined.items():
        readings = {n: own[n].to_numpy(float) for n in names} | {"raw, all rows": own["validation_loss"].to_numpy()}
        readings["raw score, all rows"] = -own["validation_score"].to_numpy()
        readings["raw, within thirds of rates"] = within_thirds(readings["raw"], own["place"].to_numpy())
        for other in (o for n, o in joined.items() if n != name):
            readings["raw, corrected by the other's line"] = corrected(own, other)
        found[name] = pd.DataFrame([{"reading": n, **compared(own, r, readings["raw"])} for n, r in readings.items()])
    return found


def with_ends(name: str, runs: pd.DataFrame) -> pd.DataFrame:
    """Measured runs beside what the benchmark knows of them: the end is the mean of its seeds."""
    rows = rows_of(name)
    end = rows.groupby("configuration")["test_loss"].mean().rename("end")
    first = rows[(rows["seed"] == rows["seed"].min()) & (rows["step"] == FIRST)].set_index("configuration")
    known = first.drop(columns=["seconds"]).join(end)
    return runs.set_index("configuration").join(known).dropna(subset=["raw"])


def compared(own: pd.DataFrame, rung: Array, raw: Array) -> dict[str, float]:
    """The figures of a reading, and its gain in Spearman over the raw one."""
    end, places, sizes = (own[k].to_numpy(float) for k in ("end", "place", "trainable"))
    generator = np.random.default_rng(0)
    draws = generator.integers(len(end), size=(RESAMPLES, len(end)))
    gains = [spearmanr(rung[d], end[d]).statistic - spearmanr(raw[d], end[d]).statistic for d in draws]
    low, high = np.percentile(gains, [2.5, 97.5])
    gain = spearmanr(rung, end).statistic - spearmanr(raw, end).statistic
    return {"runs": len(end), **judged(rung, end, places, sizes), "gain": gain, "low": low, "high": high}


def within_thirds(rung: Array, places: Array) -> Array:
    """Ranks among the runs of about the same rate only, as shares."""
    third, found = rankdata(places, "ordinal") * 3 // (len(places) + 1), np.empty(len(rung))
    for t in range(3):
        found[third == t] = rankdata(rung[third == t]) / (third == t).sum()
    return found


def corrected(own: pd.DataFrame, other: pd.DataFrame) -> Array:
    """Raw ranks corrected by a line in the place, fitted to the ends of the other benchmark."""
    mine, its, end = (rankdata(x) / len(x) for x in (own["raw"], other["raw"], other["end"]))
    weights = np.linalg.lstsq(np.column_stack([its, other["place"], np.ones(len(its))]), end, rcond=None)[0]
    return weights[0] * mine + weights[1] * own["place"].to_numpy()


def main() -> None:
    pd.set_option("display.width", 250, "display.max_columns", 20)
    for name in sys.argv[1:]:
        if name.endswith(".csv"):
            print(f"{name}\n{stored(name).round(3).to_string(index=False)}\n")
        else:
            for benchmark, table in measured(Path(name)).items():
                print(f"{benchmark}\n{table.round(3).to_string(index=False)}\n")


if __name__ == "__main__":
    main()
