"""Readings of a rung: the averages are averages, reading changes nothing, and the tables see a bias that is there."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from rung_tables import Reading, corrected, figures, line_in_place, place, within_thirds
from rungs import AVERAGES, Branch, averaged, readings

from autopeft.backbone.loading import load_backbone
from autopeft.configuration import Configuration
from autopeft.methods import get_method
from autopeft.proxy.job import Job
from autopeft.proxy.session import Session
from autopeft.proxy.trainer import Trainer
from autopeft.tasks import load_task
from autopeft.tasks.tokens import tokenise


@pytest.mark.parametrize("name", AVERAGES)
def test_an_average_has_weights_that_sum_to_one_and_favours_the_end(name):
    weights = AVERAGES[name](24)
    assert weights.sum() == pytest.approx(1) and (np.diff(weights) >= 0).all()


def test_polynomial_decay_averaging_is_the_papers_recursion():
    values, average = np.random.default_rng(0).normal(size=10), 0.0
    for t, value in enumerate(values, start=1):
        average = (1 - 4 / (t + 3)) * average + 4 / (t + 3) * value  # Shamir and Zhang 2013, section 4, eta = 3
    assert AVERAGES["power 3"](10) @ values == pytest.approx(average)


@pytest.fixture(scope="module")
def trained():
    backbone = load_backbone("minilm-l6", 2)
    task = load_task("rotten-tomatoes", train_rows=48, validation_rows=24, test_rows=8)
    tokens = tokenise(task, backbone.tokenizer, 32)
    configuration = Configuration.of("lora", get_method("lora").defaults, (5,), 5e-3)
    return Trainer(backbone, tokens, 8), Branch(backbone, tokens, 8), Job(configuration, 0, 16, 5, (1, 2, 3, 4))


def test_reading_averages_leaves_the_weights_as_they_were(trained):
    trainer, _, job = trained
    with trainer.attached(job) as (model, place):
        session = Session(trainer, model, place, [trainer.run_of(model, job, own=True)])
        before = torch.cat([p.detach().flatten() for p in session.parameters.values()])
        found = averaged(session, torch.stack([before + 1, before]).repeat(2, 1))
        after = torch.cat([p.detach().flatten() for p in session.parameters.values()])
    assert torch.equal(before, after) and found["tail 1/2"] != found["raw"]


def test_a_rung_is_read_as_an_ordinary_run_reads_it(trained):
    trainer, branch, job = trained
    found = readings(trainer, branch, job, rung=4)
    (plain,) = trainer.run([replace(job, until=4, evaluation_steps=())])
    assert found["raw"] == plain.curve.validation_loss[-1]
    assert found["branch"] == found["raw, later"] != found["raw"], "a branch begins at the rate that the run has"


def test_the_branch_ends_with_a_rate_of_nearly_nothing(trained):
    trainer, branch, job = trained
    (half,) = trainer.run([replace(job, until=4, evaluation_steps=(), keep_state=True)])
    resumed = replace(job, until=8, evaluation_steps=(), state=half.state)
    with branch.attached(resumed) as (model, _):
        schedule = branch.run_of(model, resumed, own=True).schedule
    factors = [schedule(step, 16) for step in range(4, 9)]
    assert factors[0] == pytest.approx(12 / 15) and factors[-1] == 0 and np.diff(factors).max() < 0


def biased(bias: float) -> Reading:
    """60 runs whose rung adds `bias` times the place of the rate to the end."""
    generator = np.random.default_rng(0)
    end, places = generator.normal(size=60), generator.uniform(size=60)
    return Reading(end + bias * places + 0.3 * generator.normal(size=60), end, places, np.arange(60.0))


def test_figures_see_a_bias_that_is_there_and_none_that_is_not():
    none, some = figures([biased(0)]), figures([biased(2)])
    assert abs(none["bias"]) < 0.2 < 0.5 < some["bias"] and some["p"] < 0.001 < none["p"]
    assert some["spearman"] < none["spearman"] and some["third lost"] > none["third lost"]


def test_a_line_in_the_place_takes_such_a_bias_away():
    runs = biased(2)
    straight = corrected(runs.rung, runs.places, line_in_place(runs.rung, runs.end, runs.places))
    assert abs(figures([Reading(straight, runs.end, runs.places, runs.sizes)])["bias"]) < figures([runs])["bias"] / 2


def test_ranks_within_thirds_compare_runs_of_one_rate_only():
    assert within_thirds(np.array([3.0, 1, 9, 8, 5, 4]), np.array([0, 0, 0.5, 0.5, 1, 1])).tolist() == [1, 0.5] * 3


def test_the_place_of_a_rate():
    low, high = get_method("lora").learning_rate
    assert [place("lora", r) for r in (low, (low * high) ** 0.5, high)] == pytest.approx([0, 0.5, 1])
