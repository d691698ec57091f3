"""Tables of tasks -> the rule by which a configuration's learning rate is chosen."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from autopeft.space.rates import RateRule, features
from autopeft.tabular.task_table import Row, TaskTable

FEATURES = ("modules", "size")
METHOD_PENALTY = 1.0  # observations' worth of belief that a method wants the place in its range that all do
SLOPE_PENALTY = 1.0
LEAST_SPREAD = 0.25  # decades: half the step of the grid of rates that were tried


def fit_rates(tables: Sequence[TaskTable], names: Sequence[str] = FEATURES) -> RateRule:
    """Fit offsets of methods and slopes of features to the best rates of every candidate.

    A candidate whose best rate is the lowest or highest of those tried says on which side the best lies, not where: it
    is left out. How far the best rates spread around the rule is measured on each task with the rule of the others.

    Args:
        tables: the tasks.
        names: the features.
    """
    rule, tasks = ridge(tables, names), {t.task for t in tables}
    if len(tasks) > 1:
        apart = [([t for t in tables if t.task != task], [t for t in tables if t.task == task]) for task in tasks]
        left = [x for others, own in apart if bracketed(others) for x in unexplained(ridge(others, names), own)]
    else:
        left = unexplained(rule, tables)
    return replace(rule, spread=max(float(np.sqrt(np.mean(np.square(left)))), LEAST_SPREAD) if left else LEAST_SPREAD)


def ridge(tables: Sequence[TaskTable], names: Sequence[str]) -> RateRule:
    """The rule of the least squares with penalties on offsets and slopes."""
    rows, middling = bracketed(tables), RateRule(0.0, {}, {}, {}, LEAST_SPREAD)
    wanted = np.array(unexplained(middling, tables))
    methods = sorted({row.configuration.method for _, row in rows})
    found = [features(row.configuration, table.shapes) for table, row in rows]
    means = {name: float(np.mean([f[name] for f in found])) for name in names}
    belongs = np.array([[row.configuration.method == m for m in methods] for _, row in rows], dtype=float)
    centred = np.array([[f[name] - means[name] for name in names] for f in found]).reshape(len(rows), len(names))
    design = np.column_stack([np.ones(len(rows)), belongs, centred])
    penalty = np.diag([0.0, *[METHOD_PENALTY] * len(methods), *[SLOPE_PENALTY] * len(names)])
    fitted = list(map(float, np.linalg.solve(design.T @ design + penalty, design.T @ wanted)))
    offsets, slopes = fitted[1 : 1 + len(methods)], fitted[1 + len(methods) :]
    return replace(
        middling, offset=fitted[0], offsets=dict(zip(methods, offsets)), slopes=dict(zip(names, slopes)), means=means
    )


def unexplained(rule: RateRule, tables: Sequence[TaskTable]) -> list[float]:
    """Decades by which the best rates lie above what a rule expects."""
    return [
        float(np.log10(best_rate(row) / rule.rate(row.configuration, table.shapes, table.length)))
        for table, row in bracketed(tables)
    ]


def bracketed(tables: Sequence[TaskTable]) -> list[tuple[TaskTable, Row]]:
    """The candidates of which a lower and a higher rate than the best were tried."""
    return [(table, row) for table in tables for row in table.rows if row.trainable and is_bracketed(row)]


def is_bracketed(row: Row) -> bool:
    """Whether a lower and a higher rate than the best were tried."""
    rates = [run.configuration.learning_rate for run in row.runs]
    return min(rates) < best_rate(row) < max(rates)


def best_rate(row: Row) -> float:
    """The rate of the run that won."""
    return row.best.configuration.learning_rate
