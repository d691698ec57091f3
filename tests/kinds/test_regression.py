"""Regression: numbers are read, standardised and given back in their own unit; metrics against hand-worked values."""

import pandas as pd
import pytest
from kind_cases import check_learning, check_search, check_training, falls, trainer_of

from autopeft.base.errors import AutopeftError
from autopeft.importance import score_layers
from autopeft.tasks import load_task
from autopeft.tasks.kind import get_kind

KIND = get_kind("regression")


@pytest.fixture(scope="module")
def ratings():
    return load_task("vader-ratings", train_rows=60, validation_rows=24, test_rows=24)


@pytest.mark.parametrize(
    "metric, value",
    [
        ("pearson", 9 / 84**0.5),  # deviations (-1, 0, 1) and (-4, -1, 5): 9 over root 2 * 42
        ("spearman", 1.0),
        ("r2", 1 - (4 + 0 + 25) / 2),
        ("neg-rmse", -(((4 + 0 + 25) / 3) ** 0.5)),
    ],
)
def test_values(metric, value):
    assert KIND.score(metric, [1, 2, 3], [-1, 2, 8]) == pytest.approx(value)


@pytest.mark.parametrize("metric", ["pearson", "spearman", "r2"])
def test_constant_predictions_or_labels_score_nothing(metric):
    assert KIND.score(metric, [1.0, 2.0, 3.0], [2.0, 2.0, 2.0]) == pytest.approx(0)
    assert KIND.score(metric, [2.0, 2.0, 2.0], [1.0, 2.0, 3.0]) == pytest.approx(0)


def test_predictions_are_in_the_users_unit(ratings, checkpoint):
    split = trainer_of(checkpoint, ratings).tokenised.test
    assert KIND.decode(split.labels.tolist(), split, [0, 1]) == pytest.approx(KIND.references(split, range(24)))
    assert ratings.summary()["facts"] == pytest.approx(
        {"mean": pd.Series(ratings.train.labels).mean(), "std": pd.Series(ratings.train.labels).std(ddof=0)}
    )


def test_subsets_keep_the_shares_of_high_and_low(ratings):
    whole = pd.Series(load_task("vader-ratings").train.labels).quantile([0.25, 0.5, 0.75])
    assert pd.Series(ratings.train.labels).quantile([0.25, 0.5, 0.75]).tolist() == pytest.approx(
        whole.tolist(), abs=0.3
    )


def test_training_resumes_and_packs(ratings, checkpoint, tmp_path, monkeypatch):
    check_training(trainer_of(checkpoint, ratings), tmp_path, monkeypatch)


def test_a_search_ends_in_an_adapter_whose_card_names_the_scale(ratings, checkpoint, tmp_path):
    rows = {"train_rows": 60, "validation_rows": 24, "test_rows": 24}
    done = check_search(checkpoint, tmp_path / "study", data="vader-ratings", importance="trace", **rows)
    assert "text regression" in done["card"] and "num_labels=1" in done["card"]
    assert f"| mean | {ratings.summary()['facts']['mean']:.6g} |" in done["card"]


def test_a_few_rows_are_learnt(checkpoint):
    check_learning(trainer_of(checkpoint, load_task("vader-ratings", train_rows=8, validation_rows=8, test_rows=8)))


@pytest.mark.slow
def test_the_loss_of_a_real_model_falls():
    task = load_task("vader-ratings", train_rows=240, validation_rows=60, test_rows=50)
    first, last = falls(task)
    assert last < 0.95 * first


@pytest.mark.parametrize("scorer", ["trace", "variance", "gradient"])
def test_layers_are_scored_by_quantile_bins(ratings, checkpoint, scorer):
    trainer = trainer_of(checkpoint, ratings)
    scores = score_layers(scorer, trainer.backbone, trainer.tokenised, rows=48)
    assert len(scores.scores) == 3 and all(s == s for s in scores.scores)


@pytest.mark.parametrize(
    "labels, sentence",
    [
        (["good", *range(39)], "1 of 40 labels of rows.csv are no numbers, 'good' first"),
        ([3] * 40, "Every label of the train split of rows.csv is 3"),
    ],
)
def test_bad_labels_are_one_sentence(tmp_path, labels, sentence):
    path = tmp_path / "rows.csv"
    pd.DataFrame({"text": [f"text {n}" for n in range(40)], "score": labels}).to_csv(path, index=False)
    with pytest.raises(AutopeftError, match=sentence):
        load_task(str(path), task="regression")


def test_measurements_point_to_regression(tmp_path):
    path = tmp_path / "rows.csv"
    pd.DataFrame({"text": [f"text {n}" for n in range(80)], "label": [n / 7 for n in range(80)]}).to_csv(path)
    with pytest.raises(AutopeftError, match="--task regression"):
        load_task(str(path), text="text")
    assert len(load_task(str(path), text="text", task="regression").test) == 16
