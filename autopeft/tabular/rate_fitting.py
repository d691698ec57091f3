"""Tables of tasks -> the rule by which a configuration's learning rate is chosen."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from autopeft.space.rates import RateRule, features
from autopeft.tabular.task_table import Row, TaskTable

FEATURES = ("modules", "size")
METHOD_PENALTY = 1.0  # observations' worth of belief that a method wants the place in its range that all do
SLOPE_PENALTY = 1.0
OFFSET_PENALTY = 0.5  # that all want the usual place
TASK_PENALTY = 0.5  # that a task wants what others do
LEAST_SPREAD = 0.25  # decades: half the step of the grid of rates that were tried
MOST_SPREAD = 0.5  # three rates farther apart would leave gaps in which the best may lie


def fit_rates(tables: Sequence[TaskTable], names: Sequence[str] = FEATURES) -> RateRule:
    """Fit offsets of methods and slopes of features to the best rates of every candidate.

    What a task wants of its own is fitted beside them and left out of the rule. How far the best rates spread around the
    rule is measured on each task with the rule of the others. The penalties are those of the lowest spread.

    Args:
        tables: the tasks.
        names: the features.
    """
    rule, tasks = ridge(tables, names), {t.task for t in tables}
    if len(tasks) > 1:
        apart = [([t for t in tables if t.task != task], [t for t in tables if t.task == task]) for task in tasks]
        left = [x for others, own in apart if tried(others) for x in unexplained(ridge(others, names), own)]
    else:
        left = unexplained(rule, tables)
    found = float(np.sqrt(np.mean(np.square(left)))) if left else LEAST_SPREAD
    return replace(rule, spread=min(max(found, LEAST_SPREAD), MOST_SPREAD))


def ridge(tables: Sequence[TaskTable], names: Sequence[str]) -> RateRule:
    """The rule of the least squares with penalties."""
    rows, middling = tried(tables), RateRule(0.0, {}, {}, {}, LEAST_SPREAD)
    methods, tasks = sorted({row.configuration.method for _, row in rows}), sorted({t.task for t in tables})
    found = [features(row.configuration, table.shapes) for table, row in rows]
    means = {name: float(np.mean([f[name] for f in found])) for name in names}
    columns = {
        (OFFSET_PENALTY, ""): [1.0] * len(rows),
        **{(METHOD_PENALTY, m): [float(row.configuration.method == m) for _, row in rows] for m in methods},
        **{(SLOPE_PENALTY, name): [f[name] - means[name] for f in found] for name in names},
        **{(TASK_PENALTY, f"task {t}"): [float(table.task == t) for table, _ in rows] for t in tasks},
    }
    design, penalty = np.array(list(columns.values())).T, np.diag([penalty for penalty, _ in columns])
    fitted = np.linalg.solve(design.T @ design + penalty, design.T @ np.array(unexplained(middling, tables)))
    of = {name: float(value) for (_, name), value in zip(columns, fitted)}
    offsets, slopes = {m: of[m] for m in methods}, {name: of[name] for name in names}
    return replace(middling, offset=of[""], offsets=offsets, slopes=slopes, means=means)


def unexplained(rule: RateRule, tables: Sequence[TaskTable]) -> list[float]:
    """Decades by which the best rates lie above what a rule expects."""
    return [
        float(np.log10(best_rate(row) / rule.rate(row.configuration, table.shapes, table.length)))
        for table, row in tried(tables)
    ]


def tried(tables: Sequence[TaskTable]) -> list[tuple[TaskTable, Row]]:
    """The candidates that were trained at several rates."""
    return [(table, row) for table in tables for row in table.rows if row.trainable and len(row.runs) > 1]


def best_rate(row: Row) -> float:
    """The rate of the run that won; of the lowest or highest that was tried half a step beyond, where the best may lie."""
    rates, best = [run.configuration.learning_rate for run in row.runs], row.best.configuration.learning_rate
    if best == rates[-1]:
        return best * (rates[-1] / rates[-2]) ** 0.5
    return best * (rates[0] / rates[1]) ** 0.5 if best == rates[0] else best
