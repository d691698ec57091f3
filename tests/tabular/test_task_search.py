"""Searches of the tables that the repository holds, by ways that have learnt nothing."""

from pathlib import Path

import numpy as np
import pytest

from autopeft.tabular.evidence import Evidence
from autopeft.tabular.task_search import QUIET_RULE, TaskSearch, Way
from autopeft.tabular.task_table import TaskTable

EVIDENCE = Path(__file__).parents[2] / "studies" / "evidence"


@pytest.fixture(scope="module", params=["bbc-news", "movie-reviews"])
def table(request):
    return TaskTable.of(Evidence.read(EVIDENCE / f"{request.param}.jsonl"))


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_the_share_rises_and_every_row_together_has_all_of_it(table, sampler):
    """The catalogue's curves lack the first losses, of which three rates were compared."""
    way = Way("three rates", sampler, rule=QUIET_RULE, rates=3)
    shares = TaskSearch(table).search(way, 0, 12)
    assert len(shares) == 12 and (np.diff(shares) >= 0).all() and shares[0] >= 0 and 0.1 < shares[-1] < 1.05
    assert (
        shares.tolist()
        == TaskSearch(table).search(way, 0, 12).tolist()
        != TaskSearch(table).search(way, 1, 12).tolist()
    )


def test_a_run_that_was_stopped_gains_what_its_loss_points_to(table):
    for number, row in enumerate(table.rows):
        best = table.gain(number, row.best)
        for run in row.runs:
            if run.curve and run.curve.test_score is None:
                assert table.gain(number, run) <= table.gains[number]
        assert best == pytest.approx(row.best.curve.test_score - table.probe)
