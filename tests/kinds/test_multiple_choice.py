"""Multiple choice: the options of a question lie side by side in a batch and compete in one softmax."""

import numpy as np
import pytest
import torch
from kind_cases import check_learning, check_search, check_training, falls, trainer_of

from autopeft.importance import score_layers
from autopeft.tasks import load_task
from autopeft.tasks.batches import collate, unit_batches
from autopeft.tasks.builtin import read_builtin
from autopeft.tasks.kind import get_kind
from autopeft.tasks.tokens import TokenisedSplit

KIND = get_kind("multiple-choice")
ROWS = {"train_rows": 40, "validation_rows": 16, "test_rows": 16}


@pytest.fixture(scope="module")
def questions(tmp_path_factory) -> str:
    """The first questions of OpenBookQA in a file, which is read faster."""
    path = tmp_path_factory.mktemp("questions") / "questions.jsonl"
    read_builtin("openbookqa")["train"].head(120).to_json(path, orient="records", lines=True)
    return str(path)


@pytest.fixture(scope="module")
def science(questions):
    return load_task(questions, task="multiple-choice", **ROWS)


def split_of(sizes: list[int], right: list[int]) -> TokenisedSplit:
    """Questions of these numbers of options, each option a row of its own length."""
    groups = np.repeat(np.arange(len(sizes)), sizes)
    lengths = 2 + np.arange(len(groups)) * 7 % 11
    labels = np.concatenate([np.arange(n) == r for n, r in zip(sizes, right)]).astype(np.int64)
    ids = tuple(np.full(n, 5, dtype=np.int32) for n in lengths)
    return TokenisedSplit(ids, None, labels, lengths, kind=KIND, groups=groups, references=tuple(right))


def test_loss_and_answer_of_questions_with_different_numbers_of_options():
    split = split_of([2, 3], [1, 0])
    inputs, targets = collate(split, np.arange(5), 0)
    assert targets.tolist() == [[1, 0, 1, -1], [0, 2, 3, 4]] and len(inputs["input_ids"]) == 5
    logits = torch.tensor([1.0, 2.0, 0.0, 5.0, 0.0])[:, None]
    losses, weights = KIND.losses(logits, targets)
    e = np.exp
    assert weights is None
    assert losses.tolist() == pytest.approx([-np.log(e(2) / (e(1) + e(2))), -np.log(1 / (2 + e(5)))])
    assert KIND.predictions(logits, targets) == [1, 1]
    assert KIND.score("accuracy", KIND.references(split, np.arange(2)), [1, 1]) == 0.5


@pytest.mark.parametrize("generator", [None, np.random.default_rng(0)])
def test_the_options_of_a_question_are_never_parted(generator):
    split = split_of([2, 3, 4, 2, 5, 3, 4], [0] * 7)
    batches = unit_batches(split, 3, generator)
    assert sorted(np.concatenate(batches)) == list(range(len(split))) and len(batches) == 3
    for rows in batches:
        assert list(rows) == list(split.expand(split.units(rows)))
    few = unit_batches(split, 3, generator, split.expand(np.array([1, 4])))
    assert sorted(np.concatenate(few)) == [2, 3, 4, 11, 12, 13, 14, 15]


def test_an_option_is_read_behind_its_question(science, checkpoint):
    trainer = trainer_of(checkpoint, science)
    split, (question, options) = trainer.tokenised.test, science.test.texts[0]
    assert split.number_of_units == 16 and split.labels.sum() == 16 and len(split) == 64
    text = trainer.backbone.tokenizer.decode(split.input_ids[1])
    assert text.endswith(f"[SEP] {options[1].lower()} [SEP]") and question[:10].lower() in text


def test_a_rung_scores_whole_questions(science, checkpoint):
    trainer = trainer_of(checkpoint, science)
    rows = trainer.rows("validation", 5)
    assert len(rows) == 20 and len(trainer.tokenised.validation.units(rows)) == 5


def test_training_resumes_and_packs(science, checkpoint, tmp_path, monkeypatch):
    check_training(trainer_of(checkpoint, science), tmp_path, monkeypatch)


def test_a_search_ends_in_an_adapter(questions, checkpoint, tmp_path):
    done = check_search(checkpoint, tmp_path / "study", data=questions, task="multiple-choice", **ROWS)
    assert "(40 training rows, multiple choice)" in done["card"]


def test_a_few_rows_are_learnt(questions, checkpoint):
    few = {"train_rows": 8, "validation_rows": 8, "test_rows": 8}
    check_learning(trainer_of(checkpoint, load_task(questions, task="multiple-choice", **few)))


@pytest.mark.slow
def test_the_loss_of_a_real_model_falls():
    rows = {"train_rows": 240, "validation_rows": 40, "test_rows": 20}
    first, last = falls(load_task("openbookqa", task="multiple-choice", **rows))
    assert last < first


def test_layers_are_scored(science, checkpoint):
    trainer = trainer_of(checkpoint, science)
    scores = score_layers("trace", trainer.backbone, trainer.tokenised, rows=40)
    assert all(abs(s) < 9 for s in scores.scores)
