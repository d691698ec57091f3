"""What the sweep of cuts makes of its runs and traces, on made-up ones."""

import numpy as np
import pytest
from cut_report import Sweep
from cut_traces import draws

CUTS = (0, 4, 10, 11)


def runs(seeds=(1, 2), units=50, noise=0.0):
    """The loss of a run is (cut - 6)^2 / 10 plus the unit's own plus the seed's own, so that differences are known."""
    generator = np.random.default_rng(0)
    own = generator.normal(size=units)
    return [
        {
            "cut": cut,
            "seed": seed,
            "steps": 24,
            "loss": ((cut - 6) ** 2 / 10 + own + seed + noise * generator.normal(size=units)).tolist(),
            "weight": [1.0 + unit % 3 for unit in range(units)],
        }
        for seed in seeds
        for cut in CUTS
    ]


def test_cuts_between_two_trained_ones_lie_on_a_line():
    sweep = Sweep(runs(), "loss", 12)
    mean = sweep.mean()
    assert np.diff(mean)[[0, 4, 10]] == pytest.approx([-0.8, 0.2, 0.9])
    assert mean[2] == pytest.approx(mean[[0, 4]].mean()) and mean[7] == pytest.approx(mean[[4, 10]].mean())


def test_differences_are_paired_over_seeds_and_units():
    """What units and seeds add to every cut alike leaves a difference, and its interval."""
    sweep = Sweep(runs(), "loss", 12)
    assert sweep.difference([10], [4]) == pytest.approx((1.2, 1.2, 1.2))
    assert sweep.difference([0, 10], [4]) == pytest.approx((2.2, 2.2, 2.2))
    gap, low, high = Sweep(runs(noise=1.0, units=400), "loss", 12).difference([10], [4])
    assert low < 1.2 < high and low < gap < high and 0.1 < high - low < 0.6


def test_a_seed_that_lacks_a_cut_is_left_out():
    assert Sweep(runs()[:-1], "loss", 12).seeds == [1]


def test_draws_are_disjoint_while_there_are_groups():
    groups = [{"group": i} for i in range(24)]
    for rows in (64, 128):
        taken = [g["group"] for drawn in draws(groups, rows) for g in drawn]
        assert len(taken) == len(set(taken)) == 10 * rows // 64
    assert {len(drawn) for drawn in draws(groups, 512)} == {8}
