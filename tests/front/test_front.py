from dataclasses import replace

import pytest
from made_up import OUTCOMES, STATES, TRIALS, WHOLE, curve, outcome, trial

from autopeft.front import front_of, verdict
from autopeft.objectives import Objectives
from autopeft.study.finalists import finalists
from autopeft.study.records import TrialRecord

DEFAULT = Objectives.of("parameters,metric", "accuracy")


def test_the_front_is_made_of_full_length_test_scores_within_the_budget():
    front = front_of(WHOLE)
    assert [p.name for p in front.points] == ["trial 1", "trial 2"] and front.measured.startswith("test")
    assert front.points[1].score.mean == pytest.approx(0.80)
    assert "full fine-tuning" not in {p.name for p in front.points}


def test_before_finalists_the_proxy_runs_stand_in_and_it_says_so():
    front = front_of(STATES["no finalists yet"])
    assert [p.name for p in front.points] == ["trial 0", "trial 1", "trial 2"] and "proxy" in front.measured


def test_the_best_is_chosen_by_validation_not_by_its_luck_on_the_test_split():
    lucky = replace(OUTCOMES[1], curves=tuple(replace(c, test_score=0.99) for c in OUTCOMES[1].curves))
    said = verdict(replace(WHOLE, outcomes=(OUTCOMES[0], lucky, OUTCOMES[2])))
    assert said.best.name == "trial 2"


def test_a_baseline_at_the_top_of_the_front_is_named():
    top = replace(WHOLE, outcomes=(outcome("uniform LoRA", "baseline", 8, (0.9, 0.91, 0.92)), *OUTCOMES[1:]))
    assert "best is a baseline, uniform LoRA" in verdict(top).sentence


def test_nothing_over_budget_is_reported():
    tight = replace(WHOLE, limits={"parameters": 2000})
    assert [p.name for p in front_of(tight).points] == ["trial 1"]
    assert verdict(tight).best.name == "trial 1"


def test_best_under_a_budget_and_knee():
    front = front_of(WHOLE)
    assert front.best().name == "trial 2" and front.best(2000).name == "trial 1" and front.best(3) is None
    assert front.knee in front.points


def test_the_verdict_says_plainly_whether_uniform_lora_is_beaten():
    said = verdict(WHOLE)
    assert said.judgement == "better" and "beats uniform LoRA" in said.sentence and "+10.0 points" in said.sentence
    worse = replace(WHOLE, outcomes=(outcome("uniform LoRA", "baseline", 8, (0.9, 0.91, 0.92)), *OUTCOMES[1:]))
    assert "does not beat uniform LoRA" in verdict(worse).sentence
    same = replace(WHOLE, outcomes=(outcome("uniform LoRA", "baseline", 8, (0.79, 0.82, 0.83)), *OUTCOMES[1:]))
    assert "within noise of uniform LoRA" in verdict(same).sentence


@pytest.mark.parametrize("state", STATES)
def test_every_state_has_a_front_and_a_verdict(state):
    assert verdict(STATES[state]).sentence.endswith(".") and front_of(STATES[state]).measured


def test_finalists_are_the_front_by_validation_loss():
    assert [t.number for t in finalists(TRIALS, DEFAULT, 6)] == [0, 1, 2]


def test_too_many_finalists_keep_the_best_and_the_smallest():
    many = tuple(trial(i, 2**i, 0.5 + 0.04 * i) for i in range(8))
    kept = [t.number for t in finalists(many, DEFAULT, 4)]
    assert len(kept) == 4 and kept[0] == 0 and kept[-1] == 7


def test_failed_trials_are_no_finalists():
    assert finalists((TrialRecord(0, "failed", None, None),), DEFAULT, 3) == []


def test_a_trial_whose_loss_is_not_a_number_is_no_finalist():
    lost = replace(curve(0.6), validation_loss=(0.6, float("nan")))
    broken = TrialRecord(9, "complete", TRIALS[3].configuration, 5000, lost, counted={"parameters": 5000})
    assert [t.number for t in finalists((*TRIALS, broken), DEFAULT, 2)] == [0, 2]


def test_the_verdict_names_what_is_exported_when_that_is_another_finalist():
    def scored(name, rank, validation, test):
        made = outcome(name, "finalist", rank, (validation, validation, validation))
        return replace(made, curves=tuple(replace(c, test_score=test + c.seed / 1000) for c in made.curves))

    result = replace(WHOLE, outcomes=(OUTCOMES[0], scored("trial 1", 4, 0.80, 0.82), scored("trial 2", 16, 0.84, 0.80)))
    assert verdict(result).best.name == "trial 2" and front_of(result).best().name == "trial 1"
    assert "front's own best is trial 1" in verdict(result).sentence


def test_a_log_likelihood_is_compared_in_its_own_unit_and_with_doing_nothing():
    scores = {"uniform LoRA": (-2.5, -2.5, -2.5), "trial 1": (-2.25, -2.25, -2.25), "doing nothing": (-4.0,)}
    roles = {"trial 1": "finalist"}
    outcomes = tuple(outcome(name, roles.get(name, "baseline"), 4, s) for name, s in scores.items())
    task = {**WHOLE.task, "metric": "log-likelihood"}
    said = verdict(replace(WHOLE, outcomes=outcomes, task=task)).sentence
    assert (
        "(+0.2500, 95 % interval" in said
        and "and +1.7500 from doing nothing (-4.0100)" in said
        and "points" not in said
    )
