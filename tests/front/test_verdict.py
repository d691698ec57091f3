"""What is said of a study: what to take, what it gains, and the least that will do."""

from dataclasses import replace

import pytest
from made_up import OUTCOMES, STATES, WHOLE, outcome, units

from autopeft.front import front_of, verdict

GUESS = outcome("the usual guess", "baseline", 24, (0.60, 0.61, 0.62))


def study(*outcomes, **spec):
    return replace(WHOLE, outcomes=outcomes, spec={**WHOLE.spec, **spec})


def test_it_names_what_to_take_and_what_that_gains():
    said = verdict(study(GUESS, *OUTCOMES))
    assert said.best == front_of(study(GUESS, *OUTCOMES)).best() and said.best.name == "trial 2"
    assert {name: gain.word for name, gain in said.gains.items()} == {
        "the usual guess": "better",
        "uniform LoRA": "better",
    }
    assert said.gains["the usual guess"].gap.mean == pytest.approx(0.2) and said.judgement == "better"
    assert said.sentences[0].startswith("Take trial 2, lora(") and "+10.0 points (95 % interval" in said.sentence


def test_what_is_taken_is_chosen_by_validation_whatever_the_test_split_says():
    lucky = replace(
        OUTCOMES[1], curves=tuple(replace(c, test_score=0.99, test_units=units(0.99)) for c in OUTCOMES[1].curves)
    )
    assert verdict(study(OUTCOMES[0], lucky, OUTCOMES[2])).best.name == "trial 2"


def test_a_baseline_that_nothing_beats_is_what_to_take():
    top = study(GUESS, outcome("uniform LoRA", "baseline", 8, (0.9, 0.91, 0.92)), *OUTCOMES[1:])
    said = verdict(top)
    assert said.sentences[0].startswith("Take the baseline uniform LoRA") and said.judgement is None
    assert "Nothing that was searched is better than uniform LoRA on the validation split." in said.sentences


@pytest.mark.parametrize(
    "scores, word",
    [((0.70, 0.71, 0.72), "better"), ((0.795, 0.805, 0.815), "equivalent"), ((0.70, 0.81, 0.89), "undecided")],
)
def test_the_words(scores, word):
    said = verdict(study(outcome("uniform LoRA", "baseline", 8, scores), *OUTCOMES[1:], margin=0.04))
    assert said.best.name == "trial 2" and said.judgement == word and word in said.sentence


def test_the_margin_is_the_users():
    near = outcome("uniform LoRA", "baseline", 8, (0.785, 0.80, 0.805))
    words = [verdict(study(near, *OUTCOMES[1:], margin=m)).judgement for m in (0.001, 0.05)]
    assert words == ["undecided", "equivalent"]


def test_the_smallest_that_holds_up_is_named():
    small = outcome("trial 1", "finalist", 4, (0.71, 0.72, 0.73))
    (lean,) = verdict(study(OUTCOMES[0], small, OUTCOMES[2], margin=0.04)).lean
    assert lean.point.name == "trial 1" and lean.holds_up and lean.objective.name == "parameters"
    weak = outcome("trial 1", "finalist", 4, (0.61, 0.62, 0.63))
    said = verdict(study(OUTCOMES[0], weak, OUTCOMES[2]))
    assert said.lean[0].point.name == "trial 1" and not said.lean[0].holds_up and said.lean[0].against.word == "worse"
    assert "Nothing smaller is shown to be equivalent" in said.sentence and "-9.0 points" in said.sentence


def test_one_seed_claims_nothing():
    """One seed that was twelve points ahead read "within noise", three equal ones a point ahead "better" for certain."""
    said = verdict(STATES["one seed"])
    assert said.judgement == "undecided" and "it takes two seeds" in said.sentence


def test_outcomes_that_kept_no_rows_claim_nothing():
    bare = tuple(
        replace(o, curves=tuple(replace(c, test_units=None, validation_units=None) for c in o.curves)) for o in OUTCOMES
    )
    assert verdict(study(*bare)).judgement == "undecided"


@pytest.mark.parametrize("state", STATES)
def test_every_state_has_a_verdict(state):
    assert verdict(STATES[state]).sentence.endswith(".") and front_of(STATES[state]).measured


def test_a_log_likelihood_is_compared_in_its_own_unit_and_with_doing_nothing():
    outcomes = (
        outcome("uniform LoRA", "baseline", 4, (-2.5, -2.51, -2.49)),
        outcome("trial 1", "finalist", 4, (-2.25, -2.25, -2.26)),
        outcome("doing nothing", "baseline", 0, (-4.0,)),
    )
    result = replace(WHOLE, outcomes=outcomes, task={**WHOLE.task, "metric": "log-likelihood"})
    said = verdict(result)
    assert said.judgement == "better" and said.gains["uniform LoRA"].margin == pytest.approx(0.025)
    assert "Against doing nothing (-4.0100): +1.7467" in said.sentence and "points" not in said.sentence


def test_the_untrained_model_is_the_same_with_every_seed_on_either_side():
    """It has a single run: as the best of a study it was "undecided" against whatever was far below it."""
    outcomes = (
        outcome("uniform LoRA", "baseline", 4, (-5.0, -5.01, -4.99)),
        outcome("trial 1", "finalist", 2, (-5.1, -5.11, -5.12)),
        outcome("doing nothing", "baseline", 0, (-4.0,)),
    )
    said = verdict(replace(WHOLE, outcomes=outcomes, task={**WHOLE.task, "metric": "log-likelihood"}))
    assert said.best.name == "doing nothing" and said.judgement == "better"
    assert said.lean[0].point.name == "doing nothing" and said.lean[0].holds_up
