"""Tables of tasks -> a portfolio: candidates in an order of which every beginning covers the fronts of all tasks.

Greedy, as in Auto-sklearn 2.0 (Feurer et al. 2020, arXiv 2007.04074, section 3.1): the next entry is the one that adds
most to the mean over tasks of the hypervolume, here of score against the logarithm of the parameters.
"""

from collections.abc import Sequence

import numpy as np

from autopeft.space.relative import RelativeConfiguration
from autopeft.tabular.task_table import TaskTable

ENTRIES = 30
NEAR = 0.03  # of the largest gain of a task
LEAST_GAIN = 1e-3  # of the mean share of the hypervolume that an entry has to add


def portfolio_of(tables: Sequence[TaskTable], entries: int = ENTRIES) -> list[RelativeConfiguration]:
    """Choose candidates greedily.

    Once the fronts are covered, those that are left begin to cover them again: on a new task another one may be the best.

    Args:
        tables: the tasks; those without room over the linear probe say nothing.
        entries: how many at most.
    """
    tables = [t for t in tables if t.has_room]
    left = list(dict.fromkeys(row.relative for table in tables for row in table.rows))
    chosen: list[RelativeConfiguration] = []
    while left and len(chosen) < entries:
        layer = covering(tables, left, entries - len(chosen))
        if not layer:
            break
        chosen += layer
        left = [c for c in left if c not in layer]
    return chosen


def covering(
    tables: Sequence[TaskTable], candidates: Sequence[RelativeConfiguration], most: int
) -> list[RelativeConfiguration]:
    """Candidates of which each adds most to what those before it reach, until none adds anything."""
    chosen: list[RelativeConfiguration] = []
    reached = 0.0
    while len(chosen) < most:
        means = [float(np.mean([share_with(t, [*chosen, c]) for t in tables])) for c in candidates]
        best = int(np.argmax(means))
        if means[best] <= reached + LEAST_GAIN:
            break
        reached = means[best]
        chosen.append(candidates[best])
    return chosen


def share_with(table: TaskTable, chosen: Sequence[RelativeConfiguration]) -> float:
    """The share of a table's hypervolume that these candidates reach."""
    return table.share([i for c in chosen if (i := table.row(c)) is not None])


def coverage(table: TaskTable, order: Sequence[RelativeConfiguration]) -> list[float]:
    """The share of a table's hypervolume after each candidate of an order that it holds."""
    rows = [i for c in order if (i := table.row(c)) is not None]
    return [table.share(rows[: n + 1]) for n in range(len(rows))]


def worth_trying(tables: Sequence[TaskTable]) -> list[str]:
    """The methods whose best configuration is on the front of some task or near it, by name; all others are dominated.

    Near: it lacks less than NEAR of the task's largest gain to the best of those with no more parameters.

    Args:
        tables: the tasks.
    """
    found = set()
    for table in (t for t in tables if t.has_room):
        for row, share, gain in zip(table.rows, table.shares, table.gains):
            best = table.gains[table.shares <= share].max()
            if gain > 0 and best - gain <= NEAR * table.gains.max():
                found.add(row.relative.method)
    return sorted(found)
