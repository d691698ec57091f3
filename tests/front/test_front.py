from dataclasses import replace

import pytest
from made_up import OUTCOMES, STATES, TRIALS, WHOLE, curve, outcome, trial, units

from autopeft.front import front_of
from autopeft.objectives import Objectives
from autopeft.study.candidates import UNIFORM_LORA, USUAL_GUESS, Candidate
from autopeft.study.finalists import finalists
from autopeft.study.records import TrialRecord

DEFAULT = Objectives.of("parameters,metric", "accuracy")


def retold(made, test: float):
    """An outcome whose test scores are others."""
    curves = tuple(replace(c, test_score=test + c.seed / 1000, test_units=units(test)) for c in made.curves)
    return replace(made, curves=curves)


def test_the_front_is_made_of_full_length_scores_within_the_budget():
    front = front_of(WHOLE)
    assert [p.name for p in front.points] == ["trial 1", "trial 2"] and "test split" in front.measured
    assert front.points[1].score.mean == pytest.approx(0.80) and front.points[1].validation == pytest.approx(0.81)
    assert "full fine-tuning" not in {p.name for p in front.points}


def test_test_scores_decide_nothing():
    """Membership, knee and best followed the test split: the luckiest of several was exported."""
    told = front_of(WHOLE)
    for scores in ((0.99, 0.5, 0.6), (0.1, 0.9, 0.2), (0.5, 0.5, 0.5)):
        outcomes = tuple(retold(o, s) for o, s in zip(OUTCOMES, scores)) + OUTCOMES[3:]
        front = front_of(replace(WHOLE, outcomes=outcomes))
        assert [p.name for p in front.points] == [p.name for p in told.points]
        assert (front.best().name, front.knee.name) == (told.best().name, told.knee.name)
        assert [p.name for p in front.best_first()] == [p.name for p in told.best_first()]


def test_before_finalists_the_proxy_runs_stand_in_and_it_says_so():
    front = front_of(STATES["no finalists yet"])
    assert [p.name for p in front.points] == ["trial 0", "trial 1", "trial 2"] and "proxy" in front.measured


def test_nothing_over_budget_is_reported():
    tight = replace(WHOLE, limits={"parameters": 2000})
    assert [p.name for p in front_of(tight).points] == ["trial 1"]


def test_best_under_a_budget_and_knee():
    front = front_of(WHOLE)
    assert front.best().name == "trial 2" and front.best(2000).name == "trial 1" and front.best(3) is None
    assert front.knee in front.points


def test_finalists_are_the_front_by_validation_loss():
    assert [t.number for t in finalists(TRIALS, DEFAULT, 6)] == [0, 1, 2]


def test_too_many_finalists_keep_the_best_and_the_smallest():
    many = tuple(trial(i, 2**i, 0.5 + 0.04 * i) for i in range(8))
    kept = [t.number for t in finalists(many, DEFAULT, 4)]
    assert len(kept) == 4 and kept[0] == 0 and kept[-1] == 7


def test_a_trial_that_is_a_tuned_baseline_itself_is_no_finalist_but_the_usual_guess_is_tuned_as_one():
    made = TRIALS[1].configuration
    lora = Candidate(UNIFORM_LORA, "baseline", replace(made, learning_rate=0.7), (0.1, 0.7))
    assert [t.number for t in finalists(TRIALS, DEFAULT, 6, [lora])] == [0, 2]
    assert [t.number for t in finalists(TRIALS, DEFAULT, 1, [lora])] == [2]
    assert finalists(TRIALS[1:2], DEFAULT, 1, [lora]) == []
    assert [t.number for t in finalists(TRIALS, DEFAULT, 6, [replace(lora, name=USUAL_GUESS, rates=())])] == [0, 1, 2]


def test_failed_trials_are_no_finalists():
    assert finalists((TrialRecord(0, "failed", None, None),), DEFAULT, 3) == []


def test_a_trial_whose_loss_is_not_a_number_is_no_finalist():
    lost = replace(curve(0.6), validation_loss=(0.6, float("nan")))
    broken = TrialRecord(9, "complete", TRIALS[3].configuration, 5000, lost, counted={"parameters": 5000})
    assert [t.number for t in finalists((*TRIALS, broken), DEFAULT, 2)] == [0, 2]


def test_one_metric_of_two_is_the_quality_and_the_other_is_compared_on_validation_too():
    both = replace(WHOLE, spec={**WHOLE.spec, "objectives": "loss,accuracy"})
    point = front_of(both).best()
    assert point.decides["loss"] == pytest.approx(sum(c.validation_loss[-1] for c in OUTCOMES[2].curves) / 3)
    assert outcome("x", "baseline", 8, (0.7, 0.8)).test_scores == pytest.approx((0.69, 0.79))
