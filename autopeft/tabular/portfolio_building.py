"""Tables of tasks -> a portfolio: candidates in an order of which every beginning covers the front of a task not yet seen.

Greedy, as in Auto-sklearn 2.0 (Feurer et al. 2020, arXiv 2007.04074, section 3.1): the next entry is the one that adds
most to the mean hypervolume, of gain against the logarithm of the parameters. The mean is not over the tables' own scores,
whose best are the lucky ones, but over draws of what the gain model expects of a new task.
"""

from collections.abc import Sequence

import numpy as np

from autopeft.backbone.shapes import BackboneShapes
from autopeft.configuration import Configuration
from autopeft.space.relative import RelativeConfiguration
from autopeft.surrogate.gain_model import GainModel, placed
from autopeft.surrogate.improvement import Fronts, greedy
from autopeft.tabular.task_table import LARGEST_SHARE, SMALLEST_SHARE, TaskTable

ENTRIES = 40
DRAWS = 256


def portfolio_of(tables: Sequence[TaskTable], model: GainModel, entries: int = ENTRIES) -> list[RelativeConfiguration]:
    """Choose candidates greedily.

    Args:
        tables: the tasks, for their candidates.
        model: of the gains.
        entries: how many at most.
    """
    known = offered(tables)
    asked = [placed(*where) for where in known.values()]
    costs = np.array([w.size for w in asked])
    fronts = Fronts(model.draws(asked, DRAWS), costs, np.log10(SMALLEST_SHARE), np.log10(LARGEST_SHARE))
    relatives = list(known)
    return [relatives[i] for i in greedy(fronts, len(asked), entries)]


def offered(tables: Sequence[TaskTable]) -> dict[RelativeConfiguration, tuple[Configuration, BackboneShapes]]:
    """Every candidate, with its configuration on the first backbone where it was trained."""
    found: dict[RelativeConfiguration, tuple[Configuration, BackboneShapes]] = {}
    for table in tables:
        for c in table.configurations:
            found.setdefault(RelativeConfiguration.of(c, table.shapes), (c, table.shapes))
    return found


def coverage(table: TaskTable, order: Sequence[RelativeConfiguration]) -> list[float]:
    """The share of a table's hypervolume after each candidate of an order that it holds."""
    rows = [i for c in order if (i := table.row(c)) is not None]
    return [table.share(rows[: n + 1]) for n in range(len(rows))]
