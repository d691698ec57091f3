"""Finalists chosen by what they scored, or by what the gain model makes of it: which choice is better with another seed?

    python tests/benchmarks/shrinkage.py [--evidence studies/evidence] [--draws 300]

From each task's table six candidates with a second seed are drawn as finalists, and nine others as trials that a search
had made beside them. One is chosen by its validation score with the first seed; or by the mean that the gain model, which
has learnt from the other tasks, gives it after all fifteen. Its test score with the second seed, of which neither knows
anything, is compared, in points.
"""

import argparse
from pathlib import Path

import numpy as np

from autopeft.front.intervals import over_seeds
from autopeft.report.rows import print_rows
from autopeft.surrogate.acquisition import on_the_models_scale
from autopeft.surrogate.gain_model import GainModel, placed
from autopeft.tabular.evidence import Evidence
from autopeft.tabular.gain_fitting import fit_gains
from autopeft.tabular.learning import read_tables
from autopeft.tabular.task_table import TaskTable

FINALISTS, BESIDE = 6, 9


def second_seeds(table: TaskTable, evidence: Evidence) -> dict[int, float]:
    """Row -> its test score with the second seed."""
    seed = int(evidence.about["spec"]["seed"]) + 1
    found = {r.configuration.key: r.curve.test_score for r in evidence.runs if r.seed == seed and r.curve}
    keys = [row.configuration.key for row in table.rows]
    return {i: score for i, key in enumerate(keys) if (score := found.get(key)) is not None}


def chosen(table: TaskTable, model: GainModel, rows: list[int]) -> tuple[int, int]:
    """The places of the finalists, the first of `rows`, that are best by their own score and by the model's mean."""
    places = [placed(table.rows[i].configuration, table.shapes) for i in rows]
    scores = [table.rows[i].validation for i in rows]
    seen = on_the_models_scale(model, places, scores, [True] * len(rows))
    means = model.draws(places[:FINALISTS], 512, seen=seen).mean(axis=0)
    return int(np.argmax(scores[:FINALISTS])), int(means.argmax())


def compared(table: TaskTable, model: GainModel, again: dict[int, float], draws: int) -> dict[str, float]:
    """Means over draws of finalists."""
    generator, found = np.random.default_rng(0), []
    for _ in range(draws):
        finalists = [int(i) for i in generator.permutation(list(again))[:FINALISTS]]
        others = [i for i in range(len(table.rows)) if i not in finalists]
        rows = [*finalists, *(int(i) for i in generator.permutation(others)[:BESIDE])]
        own, shrunk = chosen(table, model, rows)
        tested = [again[i] for i in finalists]
        found.append((np.mean(tested), tested[own], tested[shrunk], max(tested)))
    mean, own, shrunk, best = 100 * np.mean(found, axis=0)
    return {"all six": mean, "by score": own, "by the model": shrunk, "the best": best, "gained": shrunk - own}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--evidence", type=Path, default=Path("studies/evidence"))
    parser.add_argument("--draws", type=int, default=300)
    arguments = parser.parse_args()
    tables, rows = read_tables(arguments.evidence), []
    for table in tables:
        others = [t for t in tables if t.task != table.task and t.has_room]
        again = second_seeds(table, Evidence.read(arguments.evidence / f"{table.name}.jsonl"))
        if others and table.has_room and len(again) > FINALISTS:
            rows.append({"task": table.name, **compared(table, fit_gains(others), again, arguments.draws)})
    print_rows([{k: v if isinstance(v, str) else f"{v:.2f}" for k, v in row.items()} for row in rows], "test scores, %")
    gained = over_seeds([row["gained"] for row in rows])
    print(f"gained over tasks: {gained.mean:+.2f} ± {gained.half:.2f} points")


if __name__ == "__main__":
    main()
