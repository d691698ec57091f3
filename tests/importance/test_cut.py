"""Gains, cut, saving and bootstrap, on numbers worked out by hand."""

import numpy as np
import pytest

from autopeft.importance.cut import bootstrap, budget_curve, cut_at, gains, interval, is_flat, saving

DEVIATION = np.array([1.0, 0.9, 0.3, 0.25, 0.2])  # SALF's worked case: four layers, the largest gain at layer 2
PARAMETERS = np.array([10.0, 20.0, 40.0, 80.0, 160.0])


def test_gains_by_hand():
    found = gains(DEVIATION, PARAMETERS)
    assert found["raw"] == pytest.approx([0.1, 0.6, 0.05, 0.05])
    assert found["log"] == pytest.approx(np.log([1 / 0.9, 3, 1.2, 1.25]))
    assert found["scaling"] == pytest.approx(np.log([1 / 0.9, 3, 1.2, 1.25]) / np.log(2))


def test_a_power_law_has_its_exponent_as_scaling_gain():
    assert gains(PARAMETERS**-0.7, PARAMETERS)["scaling"] == pytest.approx([0.7] * 4)


def test_freezes_up_to_the_largest_gain():
    assert cut_at(gains(DEVIATION, PARAMETERS)["raw"]) == 2


@pytest.mark.parametrize(
    "gain, options, cut",
    [
        ([0.0, 0.1, 0.9], {}, 2),  # one block at least is trained
        ([0.0, 0.1, 0.9], {"min_trained": 2}, 1),
        ([0.0, 0.1, 0.9], {"min_trained": 5}, 0),
        ([-0.1, -0.2, 0.0], {}, 0),  # nothing gained: train all
        ([0.9, 0.1, 0.0, 0.0], {"max_trained": 2}, 2),
        ([0.1, 0.1, 0.9, 0.0], {"max_trained": 3}, 3),
        ([0.1, 0.1, 0.9, 0.0], {"max_trained": 3, "fill": True}, 1),
        ([-0.1, -0.1, -0.1, -0.1], {"max_trained": 1}, 3),
    ],
)
def test_cut_is_clamped_and_keeps_to_the_budget(gain, options, cut):
    assert cut_at(np.array(gain), **options) == cut


def test_flat_or_rising_is_told():
    assert is_flat(np.array([0.5, 0.5, 0.5])) and is_flat(np.array([0.5, 0.6, 0.9]))
    assert not is_flat(DEVIATION)


def test_saving_is_two_thirds_of_the_frozen_share():
    assert saving(3, 6) == pytest.approx(1 / 3) and saving(0, 6) == 0


def test_budget_curve_costs_more_and_leaves_less_with_every_layer():
    rows = budget_curve(DEVIATION, gains(DEVIATION, PARAMETERS)["raw"])
    assert [r["cut"] for r in rows] == [3, 2, 2, 2]
    assert [r["remaining_deviation"] for r in rows] == pytest.approx([0.2, 0.45, 0.45, 0.45])


def test_bootstrap_covers_the_mean_and_narrows_with_positions():
    generator = np.random.default_rng(0)
    width = {}
    for count in (50, 5000):
        values = generator.normal(1.0, 1.0, (count, 1))
        low, high = interval(bootstrap(values, np.ones(count), 500, 0))[0]
        assert low < values.mean() < high
        width[count] = high - low
    assert width[50] / width[5000] == pytest.approx(10, rel=0.3)
