"""What a sampler is shown of a long study."""

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial

from autopeft.base.pareto import ranks
from autopeft.study.excerpt import BEST, MOST, excerpt
from autopeft.study.sampler import LimitedSampler, observed_trials


def study_of(number: int) -> optuna.Study:
    """Of trials with one parameter, of which a third was stopped."""
    study, generator = optuna.create_study(directions=["minimize", "maximize"]), np.random.default_rng(0)
    for place in range(number):
        x = float(generator.uniform(0, 1))
        state = TrialState.PRUNED if place % 3 == 2 else TrialState.COMPLETE
        values = None if state == TrialState.PRUNED else [x, float(generator.normal(x, 0.3))]
        rate = {"rate": FloatDistribution(0, 1)}
        study.add_trial(create_trial(state=state, values=values, params={"rate": x}, distributions=rate))
    return study


@pytest.fixture(scope="module")
def long():
    return study_of(MOST + 300)


def test_a_short_study_is_shown_as_it_is():
    study = study_of(MOST)
    assert excerpt(study, observed_trials(study), 0) is study


def test_of_a_long_one_the_best_are_shown_and_a_sample_of_the_others(long):
    shown = excerpt(long, observed_trials(long), 7).get_trials(deepcopy=False)
    numbers = [t.number for t in shown]
    assert len(shown) == MOST and numbers == sorted(numbers)
    whole = [t for t in long.trials if t.state == TrialState.COMPLETE]
    rank = ranks([[t.values[0], -t.values[1]] for t in whole])
    assert {t.number for t, r in zip(whole, rank) if r < np.sort(rank)[BEST]} <= set(numbers)
    assert {t.state for t in shown} == {TrialState.COMPLETE, TrialState.PRUNED}
    again, other = (excerpt(long, observed_trials(long), seed).get_trials(deepcopy=False) for seed in (7, 8))
    assert [t.number for t in again] == numbers != [t.number for t in other]
    assert len(long.trials) == MOST + 300, "the study keeps all of them"


@pytest.mark.parametrize("name", ["tpe", "tpe-multivariate", "tpe-group", "gp", "nsga2"])
def test_samplers_look_at_the_excerpt_and_nsga2_at_its_generations(long, name, monkeypatch):
    looked, real = [], optuna.Study._get_trials

    def watched(self, *arguments, **keywords):
        found = real(self, *arguments, **keywords)
        looked.append(len(found))
        return found

    sampler = LimitedSampler(name, 0)
    trial = long.ask()
    frozen, rate = long.get_trials(deepcopy=False)[trial.number], FloatDistribution(0, 1)
    sampler._observed(long, frozen)
    monkeypatch.setattr(optuna.Study, "_get_trials", watched)
    space = sampler.infer_relative_search_space(long, frozen)
    sampler.sample_relative(long, frozen, space)
    assert 0 <= sampler.sample_independent(long, frozen, "rate", rate) <= 1
    assert bool(looked) == (name == "nsga2"), "the excerpt has a method of its own"
