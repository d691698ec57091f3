"""Which trials of a cohort are promoted."""

import numpy as np
import pytest

from autopeft.base.errors import AutopeftError
from autopeft.base.pareto import ranks
from autopeft.study.promotion import promoted

FRONT = [[10, 0.6], [20, 0.5], [30, 0.4]]


def test_all_of_a_front_goes_on_even_when_it_is_the_whole_cohort():
    assert promoted(np.array(FRONT), [0, 1, 2], 3) == [2, 1, 0]


def test_ranks_fill_up_to_the_share_and_the_lower_loss_goes_first():
    points = np.array([[10, 0.1], [20, 0.5], [30, 0.4], [40, 0.3], [50, 0.6], [60, 0.7]])
    assert promoted(points, range(6), 2) == [0, 3, 2]


def test_a_cohort_is_measured_against_all_that_came_before():
    points = np.array(FRONT + [[15, 0.7], [25, 0.45], [35, 0.9], [5, 0.69]])
    assert promoted(points, [3, 4, 5, 6], 4) == [4, 6], "15 and 35 are dominated by the first three"
    assert promoted(points, [3, 5], 2) == [3], "one is promoted even when all are dominated"


def test_a_later_better_trial_takes_an_earlier_one_off_the_front():
    points = np.array([[10, 0.6], [9, 0.5], [8, 0.55]])
    assert promoted(points, [0, 1, 2], 3) == [1, 2]


def test_twins_are_both_on_the_front():
    assert promoted(np.array([[10, 0.5], [10, 0.5], [20, 0.9]]), [0, 1, 2], 3) == [0, 1]


@pytest.mark.parametrize("eta, size", [(2, 5), (3, 3), (4, 3), (9, 1), (20, 1)])
def test_at_least_the_share_rounded_up_goes_on(eta, size):
    chain = np.array([[i, 0.1 * i] for i in range(1, 10)])
    assert promoted(chain, range(9), eta) == list(range(size))


def test_a_loss_that_is_not_finite_never_goes_on():
    points = np.array([[1, np.nan], [2, np.inf], [3, 0.5], [4, 0.6]])
    assert promoted(points, [0, 1, 2, 3], 2) == [2, 3]
    assert promoted(points, [0, 1], 2) == []


def test_the_order_of_the_cohort_does_not_matter():
    points = np.random.default_rng(0).random((30, 2))
    assert promoted(points, list(range(9)), 3) == promoted(points, list(range(8, -1, -1)), 3)


def test_an_empty_cohort_is_empty():
    assert promoted(np.empty((0, 2)), [], 3) == []


def test_eta_below_two_is_refused():
    with pytest.raises(AutopeftError, match="eta is 1"):
        promoted(np.array(FRONT), [0, 1, 2], 1)


def test_ranks_peel_the_fronts():
    points = np.array([[0, 2], [1, 1], [2, 0], [1, 2], [2, 2], [1, 1]])
    assert ranks(points).tolist() == [0, 0, 0, 1, 2, 0]
