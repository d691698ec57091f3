"""Intervals hold what they promise in simulated studies whose truth is known; `tests/benchmarks/intervals.py` prints it all."""

import interval_simulation as simulation
import numpy as np
import pytest
from resampled_simulation import MADE, resampled_metric, scores_and_resamples
from simulated_studies import chunks

from autopeft.front.intervals import difference, estimate
from autopeft.tasks.metrics import macro_f1, pearson
from autopeft.tasks.unit_scores import UnitScores, resamples, unit_scores

STUDIES = 4000


def allowed(share: float, studies: int = STUDIES) -> float:
    """Two standard errors of a share in so many studies."""
    return 2 * simulation.error(share, studies)


def runs_of(values):
    return {seed: (x.mean(), UnitScores(x, False)) for seed, x in enumerate(values)}


def test_the_simulation_computes_what_the_package_does():
    (world,) = chunks(3, 2, 5, 200)
    one, other = np.moveaxis(world.right((0.8, 0.82), (0.01, 0.01)).astype(float), 1, 0)
    for seeds in simulation.SEEDS:
        gaps, means = (
            simulation.gap_of(one[:, :seeds], other[:, :seeds]),
            simulation.mean_of(one[:, :seeds], 0),
        )
        for study in range(3):
            a, b = runs_of(one[study, :seeds]), runs_of(other[study, :seeds])
            for found, many in ((difference(a, b), gaps), (estimate(a), means)):
                assert (found.mean, found.half) == pytest.approx((many.mean[study], many.half()[study]))


def test_the_truth_is_the_mean_over_rows_and_seeds():
    right = np.concatenate([w.right((0.8, 0.95), (0.01, 0.015)).mean((2, 3)) for w in chunks(400, 2, 5, 500)])
    assert right.mean(0) == pytest.approx([0.8, 0.95], abs=4 * right.std(0).max() / 20)


@pytest.mark.parametrize("name, metric", [("macro-f1", macro_f1), ("pearson", pearson)])
def test_the_simulation_resamples_as_a_run_does(name, metric):
    (world,) = chunks(1, 2, 5, 60, seed=3)
    made, references, predictions = MADE[name](world, 0.008, np.random.default_rng(3))
    counts = np.stack([np.bincount(x, minlength=60) for x in resamples(60)]).astype(float)
    scores, values = scores_and_resamples(made, references, predictions, counts)
    assert scores[0, 1, 2] == pytest.approx(metric(references[0], predictions[0, 1, 2]))
    expected = unit_scores(metric, references[0], predictions[0, 1, 2]).values
    assert values[0, 1, 2] == pytest.approx(expected, abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("rows", simulation.ROWS)
def test_two_configurations(rows):
    for cell, found in simulation.pairs(rows, STUDIES).items():
        assert found["estimate"] >= 0.93 - allowed(0.93), cell
        assert found["difference"] >= 0.93 - allowed(0.93), cell
        assert found["type I"] <= 0.06 + allowed(0.06), cell
        assert found["equivalent at the margin"] <= 0.06 + allowed(0.06), cell


@pytest.mark.slow
@pytest.mark.parametrize("rows", simulation.ROWS)
def test_the_best_by_validation_of_six_equal_finalists(rows):
    for cell, found in simulation.studies_with_a_choice(rows, STUDIES).items():
        assert found["type I"] <= 0.06 + allowed(0.06), cell


@pytest.mark.slow
@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("rows", [200, 500])
def test_metrics_that_are_no_means(name, rows):
    for cell, found in resampled_metric(name, rows, 2000).items():
        assert found["estimate"] >= 0.93 - allowed(0.93, 2000), cell
        assert found["type I"] <= 0.06 + allowed(0.06, 2000), cell


@pytest.mark.slow
@pytest.mark.parametrize("accuracy", [0.8, 0.95])
def test_seeds_one_by_one(accuracy):
    for cell, found in simulation.looks(500, STUDIES, accuracy).items():
        assert found["type I"] <= 0.06 + allowed(0.06), cell
        assert found["equivalent at the margin"] <= 0.06 + allowed(0.06), cell
        assert found["seeds"] < simulation.SEEDS[-1], cell
