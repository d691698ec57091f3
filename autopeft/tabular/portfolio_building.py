"""Tables of tasks -> a portfolio: candidates in an order of which every beginning covers the front of a task not yet seen.

Greedy, as in Auto-sklearn 2.0 (Feurer et al. 2020, arXiv 2007.04074, section 3.1): the next entry is the one that adds
most to the mean hypervolume, of gain against the logarithm of the parameters. The mean is not over the tables' own scores,
whose best are the lucky ones, but over draws of what the gain model expects of a new task.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from autopeft.backbone.shapes import BackboneShapes
from autopeft.configuration import Configuration
from autopeft.methods import count
from autopeft.space.relative import RelativeConfiguration
from autopeft.tabular.gain_model import GainModel
from autopeft.tabular.task_table import LARGEST_SHARE, SMALLEST_SHARE, TaskTable

ENTRIES = 40
DRAWS = 256
COSTS = 61  # places on the logarithm of the parameters at which the front is read

Floats = NDArray[np.float64]


def portfolio_of(
    tables: Sequence[TaskTable], entries: int = ENTRIES, model: GainModel | None = None
) -> list[RelativeConfiguration]:
    """Choose candidates greedily.

    Args:
        tables: the tasks; those without room over the linear probe say nothing.
        entries: how many at most.
        model: of the gains, if there is one already.
    """
    tables = [t for t in tables if t.has_room]
    if not tables:
        return []
    known = offered(tables)
    relatives, configurations, shapes = list(known), *zip(*known.values())
    draws = (model or GainModel.of(tables)).draws(configurations, shapes, DRAWS)
    shares = np.array([count(c, s) / s.backbone_parameters for c, s in known.values()])
    return [relatives[i] for i in greedy(np.log10(shares), draws, entries)]


def offered(tables: Sequence[TaskTable]) -> dict[RelativeConfiguration, tuple[Configuration, BackboneShapes]]:
    """Every candidate, with its configuration on the first backbone where it was trained."""
    found: dict[RelativeConfiguration, tuple[Configuration, BackboneShapes]] = {}
    for table in tables:
        for c in table.configurations:
            found.setdefault(RelativeConfiguration.of(c, table.shapes), (c, table.shapes))
    return found


def greedy(costs: Floats, draws: Floats, most: int) -> list[int]:
    """The order in which candidates add most to the mean hypervolume.

    Args:
        costs: (N,) logarithms of the parameters' share.
        draws: (K, N) what each gains in each draw.
        most: how many at most.
    """
    places = np.linspace(np.log10(SMALLEST_SHARE), np.log10(LARGEST_SHARE), COSTS)
    allowed = costs[:, None] <= places  # (N, COSTS)
    front, chosen = np.zeros((len(draws), COSTS)), list[int]()
    while len(chosen) < min(most, len(costs)):
        added = np.array([(np.maximum(draws[:, [i]] - front, 0) * allowed[i]).sum() for i in range(len(costs))])
        added[chosen] = -1.0
        best = int(added.argmax())
        chosen.append(best)
        front = np.maximum(front, np.where(allowed[best], draws[:, [best]], 0.0))
    return chosen


def coverage(table: TaskTable, order: Sequence[RelativeConfiguration]) -> list[float]:
    """The share of a table's hypervolume after each candidate of an order that it holds."""
    rows = [i for c in order if (i := table.row(c)) is not None]
    return [table.share(rows[: n + 1]) for n in range(len(rows))]
