"""A step in several passes has the loss and the gradients of the step in one, whatever the kind weighs its rows by."""

import numpy as np
import pytest
import torch
from kind_cases import configuration, trainer_of
from made_up_seq2seq import save_tiny_seq2seq
from tiny_lm import save_tiny_lm

from autopeft.proxy.job import Job
from autopeft.tasks import load_task
from autopeft.train.accumulation import AccumulatedSession

ROWS = {"train_rows": 48, "validation_rows": 20, "test_rows": 20}
KINDS = [
    ("twitter-ner", "token-classification"),
    ("openbookqa", "multiple-choice"),
    ("sciq-passages", "reranking"),
    ("sciq-spans", "question-answering"),
    ("openbookqa-answers", "instruction"),
    ("openbookqa-answers", "seq2seq"),
    ("arc-easy", "choice"),
]


def model_of(task, checkpoint, folder):
    if task.kind.name == "seq2seq":
        return save_tiny_seq2seq("t5", folder, [content for chat in task.train.texts for _, content in chat])
    return save_tiny_lm(folder) if task.kind.name in ("instruction", "choice") else checkpoint


@pytest.mark.parametrize("data, kind", KINDS)
def test_passes_add_up_to_the_step(data, kind, checkpoint, tmp_path):
    task = load_task(data, task=kind, **ROWS)
    trainer = trainer_of(model_of(task, checkpoint, tmp_path), task, max_length=32)
    split, job = trainer.tokenised.train, Job(configuration(), 0, 4, 4)
    rows = split.expand(np.arange(7))
    found = []
    with trainer.attached(job) as (attached, place):
        for passes in (1, 3):
            session = AccumulatedSession(trainer, attached, place, [trainer.run_of(attached, job, own=True)])
            session.passes = passes
            loss = session.gradients(rows).item()
            found.append((loss, torch.cat([p.grad.flatten() for p in session.run.parameters.values()])))
            session.run.optimiser.zero_grad(set_to_none=True)
    (loss, gradient), (sum_, summed) = found
    assert sum_ == pytest.approx(loss, rel=1e-4)
    assert (summed - gradient).norm() < 1e-3 * gradient.norm()
