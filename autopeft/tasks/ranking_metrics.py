"""Relevance and scores of passages -> a number to maximise."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from autopeft.tasks.kind import Values
from autopeft.tasks.unit_metrics import MeanOverUnits


@MeanOverUnits
def mrr_at_10(references: Values, predictions: Values) -> np.ndarray:
    """The mean over queries of 1 / the rank of the first relevant passage, 0 if it is not among the first ten.

    references (N, 2): relevance, query. Of equal scores the irrelevant passage goes first; a query whose passages are
    all relevant or all irrelevant does not count. The units are the queries that count.
    """
    found = [r for r in _by_query(references, predictions) if r.min() == 0]
    return np.array([1 / (1 + (r > 0).argmax()) if (r[:10] > 0).any() else 0.0 for r in found])


@MeanOverUnits
def ndcg_at_10(references: Values, predictions: Values) -> np.ndarray:
    """The mean over queries of the discounted gain of the first ten passages over that of the best order.

    references as in mrr_at_10; the gain is the relevance itself; a query with one relevance only does not count.
    """

    def gain(relevance: Sequence[float] | np.ndarray) -> float:
        return sum(r / math.log2(rank + 1) for rank, r in enumerate(relevance[:10], start=1))

    return np.array([gain(r) / gain(sorted(r, reverse=True)) for r in _by_query(references, predictions)])


def _by_query(references: Values, predictions: Values) -> Iterator[np.ndarray]:
    """The relevance of each query's passages, the highest score first; not of a query whose passages are all alike."""
    relevance, query = np.asarray(references, dtype=float).T
    order = np.lexsort((relevance, -np.asarray(predictions, dtype=float), query))
    for found in np.split(relevance[order], np.flatnonzero(np.diff(query[order])) + 1):
        if found.min() < found.max():
            yield found
