"""Rows for trials: each choice's own rule, on planted data where it can be worked out, and on a real backbone."""

import numpy as np
import pytest

from autopeft.backbone.loading import load_backbone
from autopeft.base.errors import AutopeftError
from autopeft.proxy.job import Job
from autopeft.proxy.session import Session
from autopeft.proxy.subset import BINS, CHOICES, from_bins, proxy_rows
from autopeft.proxy.subset_scores import potentials
from autopeft.proxy.trainer import Trainer
from autopeft.tasks import load_task
from autopeft.tasks.tokens import tokenise
from autopeft.uniform_lora import uniform_lora


@pytest.fixture(scope="module")
def backbone():
    return load_backbone("minilm-l6", 2)


@pytest.fixture(scope="module")
def tokenised(backbone):
    task = load_task("rotten-tomatoes", train_rows=120, validation_rows=32, test_rows=8)
    return tokenise(task, backbone.tokenizer, 32)


@pytest.mark.parametrize("choice", CHOICES)
def test_as_many_different_rows_as_asked_for_the_same_every_time(backbone, tokenised, choice):
    rows = proxy_rows(choice, backbone, tokenised, 40, seed=3)
    assert len(rows) == 40 and (np.diff(rows) > 0).all() and rows.min() >= 0 and rows.max() < 120
    assert np.array_equal(rows, proxy_rows(choice, backbone, tokenised, 40, seed=3))


class Watched:
    """A procedure that takes note of the rows it is given."""

    def __init__(self, seen: set[int]):
        self.seen = seen

    def gradients(self, session, rows, how):
        self.seen.update(rows.tolist())
        return session.losses(rows)


def test_a_trial_sees_its_rows_only_and_a_finalist_all(backbone, tokenised):
    rows = proxy_rows("stratified", backbone, tokenised, 16, seed=0)
    trainer = Trainer(backbone, tokenised, batch_size=8, proxy_rows=rows)
    lora = uniform_lora(backbone.shapes, 20_000)
    for proxy, expected in ((True, set(rows.tolist())), (False, set(range(120)))):
        seen: set[int] = set()
        job = Job(lora, 0, 15, 15, proxy=proxy)
        with trainer.attached(job) as (model, place):
            session = Session(trainer, model, place, [trainer.run_of(model, job, own=True)])
            session.procedure = Watched(seen)
            list(session.advance())
        assert seen == expected


def test_bins_share_what_is_drawn_and_the_emptiest_come_first():
    scores = np.concatenate([np.zeros(900), np.full(90, 0.5), np.ones(10)])
    drawn = scores[from_bins(scores, 60, seed=0)]
    assert [(drawn == s).sum() for s in (0, 0.5, 1)] == [25, 25, 10]
    assert len(from_bins(np.zeros(9), 5, seed=0)) == 5 and BINS > 3


def test_rows_far_from_the_targets_have_the_larger_potential():
    places, targets = np.array([0.0, 0.1, 3.0]), np.array([0.0, 0.05, 0.1])
    f = potentials((places[:, None] - targets[None]) ** 2)
    assert f.argmax() == 2


def test_an_unknown_choice_is_one_sentence(backbone, tokenised):
    with pytest.raises(AutopeftError, match="Unknown choice of rows 'stratifed'. Did you mean 'stratified'"):
        proxy_rows("stratifed", backbone, tokenised, 4, 0)
