import math

import numpy as np
import pytest
from scipy import stats

from autopeft.front.intervals import difference, judgement, over_seeds, sampling_error

ONE, OTHER = [0.81, 0.83, 0.82], [0.78, 0.80, 0.76]


def test_the_interval_over_seeds_is_students():
    found = over_seeds(ONE)
    low, high = stats.t.interval(0.95, 2, loc=np.mean(ONE), scale=stats.sem(ONE))
    assert (found.mean, found.low, found.high) == pytest.approx((np.mean(ONE), low, high))


def test_the_difference_is_welchs():
    expected = stats.ttest_ind(ONE, OTHER, equal_var=False).confidence_interval(0.95)
    found = difference(ONE, OTHER)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize(
    "one, other, word",
    [
        ([0.9, 0.91, 0.9], [0.7, 0.71, 0.7], "better"),
        ([0.7, 0.71, 0.7], [0.9, 0.91, 0.9], "worse"),
        ([0.8, 0.9, 0.7], [0.8, 0.7, 0.9], "within noise"),
        ([0.9], [0.1, 0.2], "within noise"),
    ],
)
def test_the_judgement(one, other, word):
    assert judgement(difference(one, other)) == word


def test_equal_seeds_have_no_spread():
    assert judgement(difference([0.8, 0.8], [0.7, 0.7])) == "better" and math.isnan(over_seeds([0.8]).half)


def test_sampling_error_of_an_accuracy():
    assert sampling_error(0.8, 2553) == pytest.approx(0.0079, abs=1e-4)
