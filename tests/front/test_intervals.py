"""Intervals of means and differences, and the words that they lead to."""

import math

import numpy as np
import pytest
from scipy import stats

from autopeft.base.errors import AutopeftError
from autopeft.front.intervals import Interval, difference, equivalent, estimate, judgement, over_seeds
from autopeft.tasks.unit_scores import UnitScores, loss_scores


def runs(*bits, seeds=None):
    """Right or wrong answers of each seed -> seed -> (accuracy, unit scores)."""
    return {s: (float(np.mean(x)), UnitScores(np.array(x), False)) for s, x in zip(seeds or range(len(bits)), bits)}


def answers(right: int, rows: int = 200) -> list[int]:
    return [1] * right + [0] * (rows - right)


def test_the_interval_over_seeds_is_students():
    scores = [0.81, 0.83, 0.82]
    found = over_seeds(scores)
    low, high = stats.t.interval(0.95, 2, loc=np.mean(scores), scale=stats.sem(scores))
    assert (found.mean, found.low, found.high) == pytest.approx((np.mean(scores), low, high))
    assert over_seeds([5, 5, 5]).half == 0 and math.isnan(over_seeds([0.8]).half)


def test_where_seeds_differ_not_at_all_the_interval_is_that_of_the_rows():
    """All seeds answer alike: p (1 - p) / N, as of one proportion, with two rows added."""
    found = estimate(runs(*[answers(160)] * 3))
    assert found.se == pytest.approx(math.sqrt(0.8 * 0.2 / 199 + 2 / 200**2))


def test_where_rows_say_nothing_the_interval_is_that_of_the_seeds():
    """Scores far apart on rows without end, five seeds: Student's t over paired differences."""
    draw = np.random.default_rng(0)
    one, other = ({s: (x, loss_scores(x + 1e-6 * draw.normal(size=5000))) for s, x in enumerate(side)} for side in
                  ([0.8, 0.9, 0.84, 0.86, 0.85], [0.7, 0.75, 0.8, 0.72, 0.76]))  # fmt: skip
    found, gaps = difference(one, other), [0.1, 0.15, 0.04, 0.14, 0.09]
    low, high = stats.t.interval(0.95, 4, loc=np.mean(gaps), scale=stats.sem(gaps))
    assert (found.mean, found.low, found.high) == pytest.approx((np.mean(gaps), low, high), rel=1e-4)


def test_pairing_over_rows_makes_a_difference_narrow():
    """Two of 400 rows tell the two apart: the rest, right or wrong, costs nothing."""
    base = np.tile([1, 1, 1, 0], 100)
    better = base.copy()
    better[[3, 7]] = 1
    gap = difference(runs(better, better, better), runs(base, base, base))
    assert gap.mean == pytest.approx(2 / 400) and gap.half < 0.02 < estimate(runs(base, base, base)).half


def test_equal_scores_one_point_apart_are_undecided():
    """Release 0.1 called them better, with an interval of no width."""
    draw = np.random.default_rng(1)
    shuffled = [[draw.permutation(answers(right)) for _ in range(3)] for right in (160, 158)]
    gap = difference(runs(*shuffled[0]), runs(*shuffled[1]))
    assert gap.sd == 0 and gap.half > 0.01 and judgement(gap, 0.005) == "undecided"


def test_agreement_on_every_row_is_no_certainty():
    gap = difference(runs(answers(160), answers(161)), runs(answers(160), answers(161)))
    assert gap.mean == 0 and gap.half > 1 / 200
    perfect = estimate(runs(answers(200), answers(200)))
    assert perfect.half > 2 / 200


def test_only_seeds_that_both_have_are_compared():
    one = runs(answers(160), answers(150), answers(100), seeds=(1, 2, 3))
    gap = difference(one, runs(answers(150), answers(150), seeds=(1, 2)))
    assert gap.mean == pytest.approx(0.025)
    assert math.isnan(difference(one, runs(answers(150), answers(150), seeds=(4, 5))).half)


def test_one_seed_and_a_study_without_unit_scores_have_no_interval():
    single = difference(runs(answers(180)), runs(answers(150)))
    assert single.mean == pytest.approx(0.15) and math.isnan(single.half) and judgement(single, 1) == "undecided"
    old = {0: (0.8, None), 1: (0.81, None), 2: (0.8, None)}
    for found in (estimate(old), difference(old, runs(answers(100), answers(100), answers(100)))):
        assert not math.isnan(found.mean + found.sd) and math.isnan(found.low) and judgement(found, 1) == "undecided"
    assert math.isnan(estimate(runs(answers(180))).half)


def test_runs_on_different_rows_are_refused():
    with pytest.raises(AutopeftError, match="scored on different rows"):
        difference(runs(answers(80, 100), answers(80, 100)), runs(answers(80, 99), answers(80, 99)))


def test_resamples_without_a_value_are_left_out_of_all_runs():
    draw = np.random.default_rng(0)
    values = 0.5 + 0.02 * draw.normal(size=(2, 200))
    with_holes = values.copy()
    with_holes[0, :20] = np.nan
    found, holed = (estimate({s: (0.5, UnitScores(v, True)) for s, v in enumerate(x)}) for x in (values, with_holes))
    assert 0 < abs(found.half - holed.half) < 0.3 * found.half
    with_holes[1, 20:120] = np.nan
    assert math.isnan(estimate({s: (0.5, UnitScores(v, True)) for s, v in enumerate(with_holes)}).half)


GAP = Interval(0.01, 0.01, 0.004, 10.0)


@pytest.mark.parametrize(
    "gap, margin, direction, word",
    [
        (GAP, 0.005, "maximize", "better"),
        (GAP, 0.05, "maximize", "better"),  # within the margin too; `equivalent` says that
        (GAP, 0.005, "minimize", "worse"),
        (Interval(-0.01, 0.01, 0.004, 10.0), 0.005, "minimize", "better"),
        (Interval(0.001, 0.01, 0.004, 10.0), 0.01, "maximize", "equivalent"),
        (Interval(0.001, 0.01, 0.004, 10.0), 0.008, "minimize", "undecided"),
        (Interval(-0.001, 0.01, 0.004, 10.0), 0.008, "maximize", "undecided"),
    ],
)
def test_the_judgement(gap, margin, direction, word):
    assert judgement(gap, margin, direction) == word


def test_equivalence_is_two_one_sided_tests():
    low, high = stats.t.interval(0.90, 10, loc=0.01, scale=0.004)
    assert GAP.at(0.90) == pytest.approx((low, high))
    assert equivalent(GAP, high + 1e-9) and not equivalent(GAP, high - 1e-9) and not equivalent(GAP, -low)


def test_few_seeds_take_each_runs_own_spread():
    """Three seeds that move both alike: Welch's sum, not the paired differences, which do not differ at all."""
    draw = np.random.default_rng(0)
    one = {s: (x, loss_scores(x + 1e-6 * draw.normal(size=5000))) for s, x in enumerate([0.8, 0.9, 0.84])}
    other = {s: (x - 0.1, loss_scores(scored.values - 0.1)) for s, (x, scored) in one.items()}
    welch = math.sqrt(2 * np.var([0.8, 0.9, 0.84], ddof=1) / 3)
    found = difference(one, other)
    assert found.se == pytest.approx(welch, rel=1e-3) and found.df == pytest.approx(4, rel=1e-2)
