"""Extractive question answering: spans of the context; the metrics as SQuAD computes them."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from kind_cases import check_learning, check_search, check_training, falls, trainer_of

from autopeft.base.errors import AutopeftError
from autopeft.importance import score_layers
from autopeft.importance.hidden_states import classed_positions, states_at
from autopeft.tasks import load_task
from autopeft.tasks.kind import get_kind

KIND = get_kind("question-answering")
ROWS = {"train_rows": 40, "validation_rows": 16, "test_rows": 16}


@pytest.fixture(scope="module")
def science():
    return load_task("sciq-spans", **ROWS)


@pytest.mark.parametrize(
    "texts, found, exact, f1",
    [
        (("Denver Broncos",), "the Denver  broncos!", 1, 1),
        (("Denver Broncos",), "Broncos", 0, 2 / 3),  # one word of one found, of two wanted
        (("gold", "golden"), "golden", 1, 1),  # the nearest counts
        (("a cat and a cat",), "cat and dog", 0, 2 * 2 / (3 + 3)),
        (("the",), "", 1, 1),  # nothing is left of either
        (("cat",), "", 0, 0),
    ],
)
def test_values(texts, found, exact, f1):
    assert KIND.score("exact-match", [texts], [found]) == exact
    assert KIND.score("f1", [texts], [found]) == pytest.approx(f1)


def test_the_target_is_the_answer_and_decodes_to_it(science, checkpoint):
    split = trainer_of(checkpoint, science, max_length=128).tokenised.train
    whole = [row for row in range(len(split)) if split.labels[row][1] > 0]
    starts = np.searchsorted(split.groups, split.groups[whole])
    spans = [(row - start, *split.labels[row][:2]) for row, start in zip(whole, starts)]
    whole = split.groups[whole]
    assert len(whole) > 30
    assert KIND.score("exact-match", KIND.references(split, whole), KIND.decode(spans, split, whole)) == 1


def test_a_long_context_is_read_in_windows_and_the_answer_found_in_the_best(science, checkpoint):
    """They were cut, and whatever stood behind was answered wrongly."""
    split = trainer_of(checkpoint, science, max_length=40).tokenised.train
    assert len(split) > split.number_of_units == 40 and max(split.lengths) <= 40
    for unit in range(40):
        rows = split.expand(np.array([unit]))
        whole = [n for n, row in enumerate(rows) if split.labels[row][1] > 0]
        assert whole and all(split.labels[row][2] == 2 for row in rows)
        context, places = split.legend[rows[-1]]
        assert len(context) - max(place[1] for place in places if place) <= 1  # the last window ends where it does
        _, targets = KIND.collate(split, rows, 0)
        logits = torch.zeros(len(rows), targets.shape[1] - 3, 2)
        logits[:, 0] = 5.0  # nowhere
        first, last = targets[whole[0], 1:3]
        logits[whole[0], first, 0] = logits[whole[0], last, 1] = 6.0
        (found,) = KIND.predictions(logits, targets)
        assert found == (whole[0], first, last)
        assert KIND.score("exact-match", KIND.references(split, [unit]), KIND.decode([found], split, [unit])) == 1


def test_a_question_counts_once_however_many_windows_it_has(science, checkpoint):
    split = trainer_of(checkpoint, science, max_length=40).tokenised.train
    rows = split.expand(np.arange(6))
    _, targets = KIND.collate(split, rows, 0)
    logits = torch.randn(len(rows), targets.shape[1] - 3, 2)
    losses, weights = KIND.losses(logits, targets)
    assert losses.shape == (6,) and weights is None and len(rows) > 6 and len(KIND.predictions(logits, targets)) == 6
    alone = targets[targets[:, 0] == 5].clone()
    alone[:, 0] = 0
    assert KIND.losses(logits[targets[:, 0] == 5], alone)[0].item() == pytest.approx(losses[5].item(), rel=1e-5)


def test_a_question_that_is_too_long_leaves_room_for_the_context(checkpoint, tmp_path):
    context = "The heart of a blue whale weighs 180 kg."
    rows = pd.DataFrame({"question": [f"what {n} " * 40 for n in range(20)], "context": context, "answers": "180 kg"})
    rows.to_csv(tmp_path / "rows.csv", index=False)
    task = load_task(str(tmp_path / "rows.csv"), task="question-answering")
    split = trainer_of(checkpoint, task, max_length=24).tokenised.train
    assert split.truncated == split.number_of_units and max(split.lengths) <= 24


def test_the_best_span_is_ordered_short_and_in_the_context():
    marks = [2, 0, *[1] * 40, 0]
    targets = torch.tensor([[n, 2, 3, *marks] for n in range(3)])
    logits = torch.zeros(3, len(marks), 2)
    logits[0, 1, 0] = logits[0, 42, 1] = 9.0  # the question and the end: not to be chosen
    logits[0, 5, 0] = logits[0, 7, 1] = 1.0
    logits[1, 9, 0], logits[1, 4, 1], logits[1, 11, 1] = 5.0, 5.0, 1.0  # an end before its beginning
    logits[2, 3, 0], logits[2, 33, 1], logits[2, 32, 1] = 5.0, 5.0, 4.0  # thirty-one tokens
    assert KIND.predictions(logits, targets) == [(0, 5, 7), (0, 9, 11), (0, 3, 32)]


def test_the_loss_does_not_see_padding_or_the_question():
    logits = torch.randn(1, 6, 2)
    targets = torch.tensor([[0, 3, 4, 2, 0, 1, 1, 1, 0]])
    (loss,), _ = KIND.losses(logits, targets)
    changed = logits.clone()
    changed[0, [1, 5]] = 99.0
    assert KIND.losses(changed, targets)[0].item() == pytest.approx(loss.item())


def test_answers_in_every_form(tmp_path):
    context = "The heart of a blue whale weighs 180 kg."
    forms = [
        {"text": ["180 kg", "180"], "answer_start": [33, 33]},
        {"text": "180 kg", "answer_start": 33},
        "180 kg",
        ["180 KG"],
        json.dumps({"text": ["180 kg"], "answer_start": [33]}),
        {"text": ["180 kg"], "answer_start": [2]},  # a wrong place: looked for
    ]
    rows = [{"question": f"q{n}", "context": context, "answers": forms[n % 6]} for n in range(36)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    task = load_task(str(tmp_path / "rows.jsonl"), task="question-answering")
    assert {label[0] for split in (task.train, task.test) for label in split.labels} == {(33, 39)}
    assert {label[1] for label in task.train.labels} == {("180 kg", "180"), ("180 kg",), ("180 KG",)}


def test_training_resumes_and_packs(science, checkpoint, tmp_path, monkeypatch):
    check_training(trainer_of(checkpoint, science), tmp_path, monkeypatch)


def test_a_search_ends_in_an_adapter(checkpoint, tmp_path):
    done = check_search(checkpoint, tmp_path / "study", data="sciq-spans", **ROWS)
    assert "question answering" in done["card"] and "AutoModelForQuestionAnswering" in done["card"]


def test_a_few_rows_are_learnt(science, checkpoint):
    check_learning(trainer_of(checkpoint, science))


@pytest.mark.slow
def test_the_loss_of_a_real_model_falls():
    first, last = falls(load_task("sciq-spans", train_rows=240, validation_rows=40, test_rows=20), max_length=64)
    assert last < 0.95 * first


def test_layers_are_scored_by_what_is_answer_and_what_is_not(science, checkpoint):
    trainer = trainer_of(checkpoint, science)
    rows, places, classes = classed_positions(trainer.tokenised, trainer.rows("train", 12), 0)
    states = states_at(trainer.backbone, trainer.tokenised, rows, places)
    assert states.shape[1] == len(classes) and set(classes) == {0, 1}
    scores = score_layers("trace", trainer.backbone, trainer.tokenised, rows=40)
    assert all(abs(s) < 9 for s in scores.scores)


@pytest.mark.parametrize(
    "change, sentence",
    [
        (lambda f: f.drop(columns="context"), "which column of rows.csv holds the contexts"),
        (lambda f: f.assign(answers="nowhere"), "No answer of rows.csv stands in its context"),
        (lambda f: f.assign(answers=["nowhere"] + ["blue"] * 19), "1 of 20 rows of rows.csv have no answer"),
        (lambda f: f.iloc[:0], "no rows"),
    ],
)
def test_bad_columns_are_one_sentence(tmp_path, change, sentence):
    frame = pd.DataFrame({"question": [f"q{n}" for n in range(20)], "context": "The sky is blue.", "answers": "blue"})
    change(frame).to_csv(tmp_path / "rows.csv", index=False)
    with pytest.raises(AutopeftError, match=sentence):
        load_task(str(tmp_path / "rows.csv"), task="question-answering")
