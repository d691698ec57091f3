"""Tables of tasks -> the rule by which a configuration's learning rate is chosen."""

from collections.abc import Sequence

import numpy as np

from autopeft.space.rates import RateRule, by_length, features, middle
from autopeft.tabular.task_table import Row, TaskTable

FEATURES = ("modules", "size")
METHOD_PENALTY = 1.0  # observations' worth of belief that a method wants the place in its range that all do
SLOPE_PENALTY = 1.0
LEAST_SPREAD = 0.25  # decades: half the step of the grid of rates that were tried


def fit_rates(tables: Sequence[TaskTable], names: Sequence[str] = FEATURES) -> RateRule:
    """Fit offsets of methods and slopes of features to the best rates of every candidate, by ridge regression.

    A candidate whose best rate is the lowest or highest of those tried says on which side the best lies, not where: it
    is left out.

    Args:
        tables: the tasks.
        names: the features.
    """
    rows = [(table, row) for table in tables for row in table.rows if row.trainable and is_bracketed(row)]
    wanted = np.array(
        [np.log10(best_rate(row) / middle(row.configuration)) - by_length(table.length) for table, row in rows]
    )
    methods = sorted({row.configuration.method for _, row in rows})
    found = [features(row.configuration, table.shapes) for table, row in rows]
    means = {name: float(np.mean([f[name] for f in found])) for name in names}
    belongs = np.array([[row.configuration.method == m for m in methods] for _, row in rows], dtype=float)
    centred = np.array([[f[name] - means[name] for name in names] for f in found]).reshape(len(rows), len(names))
    design = np.column_stack([np.ones(len(rows)), belongs, centred])
    penalty = np.diag([0.0, *[METHOD_PENALTY] * len(methods), *[SLOPE_PENALTY] * len(names)])
    fitted = np.linalg.solve(design.T @ design + penalty, design.T @ wanted)
    left = wanted - design @ fitted
    offsets = dict(zip(methods, map(float, fitted[1:])))
    slopes = dict(zip(names, map(float, fitted[1 + len(methods) :])))
    return RateRule(float(fitted[0]), offsets, slopes, means, max(float(left.std()), LEAST_SPREAD))


def is_bracketed(row: Row) -> bool:
    """Whether a lower and a higher rate than the best were tried."""
    rates = [run.configuration.learning_rate for run in row.runs]
    return min(rates) < best_rate(row) < max(rates)


def best_rate(row: Row) -> float:
    """The rate of the run that won."""
    return row.best.configuration.learning_rate
