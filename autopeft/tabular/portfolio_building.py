"""Tables of tasks -> a portfolio: candidates in an order of which every beginning covers the fronts of all tasks.

Greedy, as in Auto-sklearn 2.0 (Feurer et al. 2020, arXiv 2007.04074, section 3.1): the next entry is the one that adds
most to the mean over tasks of the hypervolume, here of score against the logarithm of the parameters.
"""

from collections.abc import Sequence

import numpy as np

from autopeft.space.relative import RelativeConfiguration
from autopeft.tabular.task_table import TaskTable

ENTRIES = 30


def portfolio_of(tables: Sequence[TaskTable], entries: int = ENTRIES) -> list[RelativeConfiguration]:
    """Choose candidates greedily.

    A candidate that a table lacks adds nothing there.

    Args:
        tables: the tasks; those without room over the linear probe say nothing.
        entries: how many at most; fewer where no candidate adds anything.
    """
    tables = [t for t in tables if t.has_room]
    left = list(dict.fromkeys(row.relative for table in tables for row in table.rows))
    chosen: list[RelativeConfiguration] = []
    reached = np.zeros(len(tables))
    while left and len(chosen) < entries:
        volumes = np.array([[share_with(t, [*chosen, c]) for t in tables] for c in left])
        best = int(volumes.mean(axis=1).argmax())
        if volumes[best].mean() <= reached.mean() + 1e-12:
            break
        reached = volumes[best]
        chosen.append(left.pop(best))
    return chosen


def share_with(table: TaskTable, chosen: Sequence[RelativeConfiguration]) -> float:
    """The share of a table's hypervolume that these candidates reach."""
    return table.share([i for c in chosen if (i := table.row(c)) is not None])


def coverage(table: TaskTable, order: Sequence[RelativeConfiguration]) -> list[float]:
    """The share of a table's hypervolume after each candidate of an order that it holds."""
    rows = [i for c in order if (i := table.row(c)) is not None]
    return [table.share(rows[: n + 1]) for n in range(len(rows))]
