"""Tables of tasks -> the gain model."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from autopeft.surrogate.gain_model import STOPPED, GainModel, placed
from autopeft.tabular.task_table import Floats, TaskTable

TOP = 10  # a task's gains are divided by the mean of its best tenth


def fit_gains(tables: Sequence[TaskTable]) -> GainModel:
    """Learn from tables; what was stopped on the way is taken to end where its loss points.

    Args:
        tables: the tasks; those without room over the linear probe say nothing.
    """
    witnesses = []
    for task, table in enumerate(t for t in tables if t.has_room):
        for number, (made, gain) in enumerate(zip(table.configurations, divided(table.expected_gains))):
            noise = 1.0 if number < table.finished else STOPPED
            witnesses.append(replace(placed(made, table.shapes), gain=float(gain), noise=noise, task=task))
    return GainModel(tuple(witnesses)).fitted()


def divided(gains: Floats) -> Floats:
    """Gains by the mean of the best tenth of them."""
    best = np.sort(gains)[-max(3, len(gains) // TOP) :]
    return gains / float(best.mean())
