import pytest

from autopeft.front.intervals import NAN, Interval
from autopeft.front.more_seeds import wants_another_seed


@pytest.mark.parametrize(
    "gap, seeds, wanted",
    [
        (Interval(0.02, 0.01, 0.002, 10.0), 3, False),  # ten standard errors
        (Interval(-0.02, 0.01, 0.002, 10.0), 3, False),
        (Interval(0.005, 0.01, 0.002, 10.0), 3, True),  # 95 % would be enough, were it the last look
        (Interval(0.005, 0.01, 0.002, 10.0), 5, False),
        (Interval(0.0, 0.01, 0.003, 10.0), 3, False),  # within a point of zero
        (Interval(0.0, 0.01, 0.005, 10.0), 3, True),  # at 90 % too, which is enough at the last look only
        (Interval(0.12, NAN, NAN, NAN), 1, True),
    ],
)
def test_a_comparison_ends_early_only_at_the_stricter_level(gap, seeds, wanted):
    assert wants_another_seed(gap, 0.01, seeds) is wanted
