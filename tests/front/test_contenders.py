"""Who gets another seed: what could still be an answer by the validation split."""

from dataclasses import replace
from math import inf

from made_up import WHOLE, outcome

from autopeft.front.contenders import contenders

NOISE = 0.005  # of one run: with a chance of one in four two more seeds each change a difference by 0.0039 or more


def going_on(*outcomes, noise=NOISE, **changes):
    return contenders(replace(WHOLE, outcomes=outcomes, **changes), noise)


def uniform(*scores, rank=1):
    return outcome("uniform LoRA", "baseline", rank, scores)


BEHIND = uniform(0.50, 0.50)  # it has an interval, no seed brings it near, and nothing costs less


def finalist(number, *scores, rank=16):
    return outcome(f"trial {number}", "finalist", rank, scores)


def test_what_a_seed_could_turn_around_goes_on():
    one, near, far = finalist(1, 0.800), finalist(2, 0.797), finalist(3, 0.794)
    assert going_on(BEHIND, one, near, far) == {"trial 1", "trial 2"}


def test_fewer_seeds_left_turn_less_around():
    one, near = finalist(1, 0.800, 0.800), finalist(2, 0.798, 0.798)
    assert going_on(BEHIND, one, near) == set()
    assert going_on(BEHIND, one, finalist(2, 0.798)) == {"trial 1", "trial 2"}, "it has two more"


def test_the_best_alone_gets_a_second_seed_for_an_interval():
    assert going_on(BEHIND, finalist(1, 0.80), finalist(2, 0.70)) == {"trial 1"}
    assert going_on(BEHIND, finalist(1, 0.80, 0.81), finalist(2, 0.70)) == set()


def test_what_was_out_comes_back_when_the_best_falls():
    """Else a run that was lucky once would be taken for want of a second one."""
    fallen, out = finalist(1, 0.80, 0.77), finalist(2, 0.784)
    assert going_on(BEHIND, finalist(1, 0.80), out) == {"trial 1"}
    assert going_on(BEHIND, fallen, out) == {"trial 1", "trial 2"}


def test_a_tenth_and_a_hundredth_of_the_budget_have_answers_of_their_own():
    big, small, smaller = finalist(1, 0.80, 0.80), finalist(2, 0.70, rank=2), finalist(3, 0.60, rank=1)
    assert going_on(BEHIND, big, small, smaller) == {"trial 2"}, "of at most 1,000 parameters"
    tight = {"budget": 100_000, "limits": {"parameters": 100_000}}
    assert going_on(BEHIND, big, small, finalist(3, 0.65, rank=1), **tight) == {"trial 2"}, "of at most 1,000"
    other = {"spec": {**WHOLE.spec, "objectives": "train-flops,metric"}}
    assert "trial 2" not in going_on(BEHIND, big, small, **other)


def test_baselines_go_on_while_the_comparison_with_the_best_is_open():
    guess = outcome("the usual guess", "baseline", 8, (0.60,))
    assert going_on(BEHIND, guess, finalist(1, 0.80, 0.81)) == {"the usual guess"}, "one seed has no interval"
    guess = outcome("the usual guess", "baseline", 8, (0.60, 0.61))
    assert going_on(BEHIND, guess, finalist(1, 0.80, 0.81)) == set()
    assert going_on(uniform(0.795, 0.785), finalist(1, 0.805, 0.815)) == {"uniform LoRA", "trial 1"}


def test_the_untrained_model_has_one_seed_and_an_interval_from_the_others():
    nothing = outcome("doing nothing", "baseline", 1, (0.40,))
    assert going_on(BEHIND, nothing, finalist(1, 0.80, 0.81)) == set()


def test_the_ceiling_gets_the_seeds_of_an_interval_and_no_more():
    for scores, out in (((0.81,), {"full fine-tuning"}), ((0.81, 0.82), set())):
        ceiling = outcome("full fine-tuning", "ceiling", 64, scores)
        assert going_on(BEHIND, ceiling, finalist(1, 0.80, 0.81)) == out


def test_what_could_hold_up_against_uniform_lora_at_less_goes_on():
    best = outcome("trial 1", "finalist", 25, (0.86, 0.86, 0.86))
    level = uniform(0.80, 0.80, 0.80, rank=24)
    lean, poor = finalist(2, 0.815, 0.805, rank=16), finalist(3, 0.70, 0.70, rank=4)
    assert going_on(best, level, lean, poor) == {"trial 2"}, "uniform LoRA has its seeds"
    assert going_on(best, level, finalist(2, 0.75, 0.75), poor) == set(), "no seed brings it up"


def test_nothing_is_said_without_finalists_and_all_go_on_while_the_noise_is_unknown():
    assert going_on(uniform(0.8)) == set()
    assert going_on(uniform(0.8), finalist(1, 0.5), noise=inf) == {"uniform LoRA", "trial 1"}


def test_what_is_over_the_budget_is_no_answer():
    assert going_on(BEHIND, finalist(1, 0.80, 0.80), finalist(2, 0.90, rank=64)) == set()


def test_a_loss_is_better_when_it_is_lower():
    losses = {"spec": {**WHOLE.spec, "objectives": "parameters,loss"}}
    one, near, far = finalist(1, 0.800), finalist(2, 0.797), finalist(3, 0.794)  # the made-up loss is 1 - score
    assert going_on(BEHIND, one, near, far, **losses) == {"trial 1", "trial 2"}


def test_with_all_their_seeds_all_is_said():
    near = [finalist(number, 0.80 - number / 1000, 0.80) for number in range(3)]
    assert going_on(uniform(0.795, 0.785), *near, spec={**WHOLE.spec, "seeds": 2}) == set()
