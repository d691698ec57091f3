"""The best at the full budget, a third, a tenth ... of it: trial 2 has 6,144 parameters, trial 1 1,536."""

from dataclasses import replace
from fractions import Fraction

import pytest
from made_up import OUTCOMES, STATES, WHOLE, outcome, units

from autopeft.front import front_of, per_budget, verdict
from autopeft.result import Result

GUESS = outcome("the usual guess", "baseline", 24, (0.60, 0.61, 0.62))  # 9,216 parameters
PROBE = outcome("linear probe", "baseline", 0, (0.50, 0.51, 0.52))
WEAK = outcome("trial 0", "finalist", 1, (0.40, 0.41, 0.42))  # 384 parameters, and worse than the probe
EVERY = (GUESS, PROBE, WEAK, *OUTCOMES)


def study(*outcomes, limits=None, **spec):
    return replace(WHOLE, outcomes=outcomes, limits=limits or {}, spec={**WHOLE.spec, **spec})


def told(result):
    return [([str(s) for s in row.shares], list(row.budgets), row.point.name) for row in per_budget(result)]


def test_the_best_of_the_budget_and_of_a_third_and_what_they_gain():
    """A tenth, 1,000, is less than the smallest point that trains anything."""
    one, third = per_budget(study(GUESS, *OUTCOMES, limits={"parameters": 10_000}))
    assert (one.shares, one.budgets, one.point.name) == ((Fraction(1),), (10_000,), "trial 2")
    assert (third.shares, third.budgets, third.point.name) == ((Fraction(1, 3),), (3333,), "trial 1")
    assert one.point.score.mean == pytest.approx(0.80) and third.point.score.mean == pytest.approx(0.73)
    gaps = [{name: round(gain.gap.mean, 6) for name, gain in row.gains.items()} for row in (one, third)]
    assert gaps == [{"the usual guess": 0.20, "uniform LoRA": 0.10}, {"the usual guess": 0.13, "uniform LoRA": 0.03}]
    assert {gain.word for row in (one, third) for gain in row.gains.values()} == {"better"}


def test_shares_with_the_same_best_are_one_row():
    assert told(study(*OUTCOMES, limits={"parameters": 1_000_000})) == [
        (["1", "1/3", "1/10", "1/30", "1/100"], [1_000_000, 333_333, 100_000, 33_333, 10_000], "trial 2"),
        (["1/300"], [3333], "trial 1"),
    ]


def test_without_a_budget_the_largest_point_has_the_full_one():
    assert told(study(GUESS, *OUTCOMES)) == [(["1"], [9216], "trial 2"), (["1/3"], [3072], "trial 1")]


def test_where_nothing_small_is_worth_its_parameters_the_linear_probe_is_the_best():
    """Down to the smallest point that trains anything, 384 parameters, though it is no member of the front."""
    assert told(study(*EVERY, limits={"parameters": 10_000})) == [
        (["1"], [10_000], "trial 2"),
        (["1/3"], [3333], "trial 1"),
        (["1/10"], [1000], "linear probe"),
    ]
    alone = replace(PROBE, name="trial 5", role="finalist")
    assert told(study(alone)) == [] and told(study(alone, limits={"parameters": 9})) == [(["1"], [9], "trial 5")]


def test_the_first_row_says_what_the_verdict_says():
    result = study(*EVERY, limits={"parameters": 10_000})
    assert (per_budget(result)[0].point, per_budget(result)[0].gains) == (verdict(result).best, verdict(result).gains)


def test_a_baseline_is_compared_with_the_other_one_alone():
    rows = per_budget(study(GUESS, outcome("uniform LoRA", "baseline", 8, (0.9, 0.91, 0.92)), *OUTCOMES[1:]))
    assert [(row.point.name, list(row.gains)) for row in rows] == [("uniform LoRA", ["the usual guess"])], (
        "3,072 is a third of 9,216"
    )


@pytest.mark.parametrize(
    "small, word",
    [((0.60, 0.61, 0.62), "worse"), ((0.70, 0.71, 0.72), "equivalent"), ((0.60, 0.71, 0.80), "undecided")],
)
def test_what_a_small_budget_loses_in_words(small, word):
    small = outcome("trial 1", "finalist", 4, small)
    rows = per_budget(study(OUTCOMES[0], small, OUTCOMES[2], limits={"parameters": 18_000}, margin=0.04))
    assert rows[-1].point.name == "trial 1" and rows[-1].gains["uniform LoRA"].word == word


@pytest.mark.parametrize("budget", ["50%", "40%", "3%", "99.9%"])
def test_every_row_is_what_best_says_of_its_budgets(budget):
    """Of the counts, of the shares written as percentages, and of every budget between the first and the last."""
    plain = Result(study(*EVERY))
    full = int(float(budget[:-1]) / 100 * WHOLE.shapes.backbone_parameters)
    result = Result(replace(plain.data, limits={"parameters": full}))
    assert result.per_budget and result.best() == result.per_budget[0].point
    for row in result.per_budget:
        for share, count in zip(row.shares, row.budgets):
            percent = f"{float(budget[:-1]) * float(share):.12f}%"
            assert result.best(count) == result.best(percent) == row.point
        assert {result.best(b).name for b in range(row.budgets[-1], row.budgets[0], 7)} <= {row.point.name}


def test_test_scores_decide_nothing():
    outcomes = [
        replace(o, curves=tuple(replace(c, test_score=score, test_units=units(score)) for c in o.curves))
        for o, score in zip(EVERY, (0.9, 0.2, 0.99, 0.5, 0.7, 0.1, 0.3))
    ]
    limits = {"parameters": 10_000}
    assert told(study(*outcomes, limits=limits)) == told(study(*EVERY, limits=limits))


def test_the_parameters_beside_another_objective():
    """A third objective adds members to the front; the best within a budget is still the best by validation."""
    timed = [
        replace(o, curves=tuple(replace(c, measured={"step-time": t}) for c in o.curves))
        for o, t in zip(OUTCOMES, (0.5, 1.0, 1.2, 2.0))
    ]
    result = study(*timed, limits={"parameters": 10_000}, objectives="parameters,step-time,accuracy")
    assert "uniform LoRA" in {p.name for p in front_of(result).points}
    assert [name for _, _, name in told(result)] == ["trial 2", "trial 1"]


def test_a_loss_is_the_better_the_lower_it_is():
    result = study(*OUTCOMES, limits={"parameters": 10_000}, objectives="parameters,loss")
    assert [name for _, _, name in told(result)] == ["trial 2", "trial 1"]


@pytest.mark.parametrize("state", ["no finalists yet", "baselines only", "one point", "nothing finished"])
def test_nothing_is_said_before_a_finalist_is_trained(state):
    assert per_budget(STATES[state]) == ()


def test_nothing_is_said_where_the_parameters_are_no_objective():
    timed = [replace(o, curves=tuple(replace(c, measured={"step-time": 1.0}) for c in o.curves)) for o in OUTCOMES]
    assert per_budget(study(*timed, limits={"parameters": 10_000}, objectives="step-time,accuracy")) == ()


def test_one_seed_claims_nothing():
    rows = per_budget(STATES["one seed"])
    assert rows and {gain.word for row in rows for gain in row.gains.values()} == {"undecided"}
