"""Reranking: passages of a query stay together and are ordered by their scores; metrics against hand-worked values."""

from math import log2

import numpy as np
import pandas as pd
import pytest
from kind_cases import check_learning, check_search, check_training, falls, trainer_of

from autopeft.base.errors import AutopeftError
from autopeft.importance import score_layers
from autopeft.tasks import load_task
from autopeft.tasks.kind import get_kind

KIND = get_kind("reranking")
ROWS = {"train_rows": 60, "validation_rows": 40, "test_rows": 40}


@pytest.fixture(scope="module")
def science():
    return load_task("sciq-passages", **ROWS)


def references(*relevances) -> np.ndarray:
    """A list of relevances for each query -> (N, 2)."""
    return np.array([(r, q) for q, found in enumerate(relevances) for r in found])


@pytest.mark.parametrize(
    "metric, relevances, scores, value",
    [
        ("mrr@10", [[1, 0, 0], [0, 0, 1]], [3, 2, 1, 3, 2, 1], (1 + 1 / 3) / 2),
        ("mrr@10", [[1] + [0] * 10], [0] + [1] * 10, 0),  # the eleventh
        ("mrr@10", [[1, 0]], [5, 5], 1 / 2),  # equal scores speak for the irrelevant one
        ("mrr@10", [[1, 0], [0, 0], [1, 1]], [2, 1, 1, 2, 1, 2], 1),  # queries that cannot be ordered do not count
        ("mrr@10", [[0, 0]], [1, 2], 0),
        ("ndcg@10", [[1, 0, 0]], [1, 3, 2], 1 / log2(4)),
        ("ndcg@10", [[1, 0.5, 0]], [1, 2, 3], (0.5 / log2(3) + 1 / 2) / (1 + 0.5 / log2(3))),
        ("ndcg@10", [[1, 0.5, 0]], [3, 2, 1], 1),
    ],
)
def test_values(metric, relevances, scores, value):
    assert KIND.score(metric, references(*relevances), scores) == pytest.approx(value)


def test_ndcg_is_scikit_learns_where_no_scores_are_equal():
    from sklearn.metrics import ndcg_score

    draw = np.random.default_rng(0)
    relevance, scores = draw.integers(0, 4, (6, 15)), draw.normal(size=(6, 15))
    assert KIND.score("ndcg@10", references(*relevance), scores.ravel()) == pytest.approx(
        ndcg_score(relevance, scores, k=10)
    )


def test_no_query_lies_in_two_splits_and_none_is_cut_apart(science):
    queries = [{query for query, _ in split.texts} for split in (science.train, science.validation, science.test)]
    assert len(set.union(*queries)) == sum(map(len, queries)) == 14
    for split in (science.train, science.test):
        counts = pd.Series([query for query, _ in split.texts]).value_counts()
        assert set(counts) == {10} and sum(split.labels) == len(counts)


def test_a_rung_scores_whole_queries(science, checkpoint):
    trainer = trainer_of(checkpoint, science)
    rows = trainer.rows("validation", 20)
    assert sorted(pd.Series(np.array(trainer.tokenised.validation.legend)[rows]).value_counts()) == [10, 10]


def test_a_query_of_a_split_of_ones_own_is_in_no_other(tmp_path):
    import datasets

    def part(first: int, last: int):
        rows = [(f"q{q}", f"passage {q} {d}", int(d == 0) * 2) for q in range(first, last) for d in range(3)]
        return datasets.Dataset.from_dict({k: list(v) for k, v in zip(("query", "doc", "relevance"), zip(*rows))})

    whole = {"train": part(0, 20), "validation": part(18, 24), "test": part(23, 30)}
    datasets.DatasetDict(whole).save_to_disk(str(tmp_path / "data"))
    task = load_task(str(tmp_path / "data"), task="reranking")
    assert [len(s) for s in (task.train, task.validation, task.test)] == [18 * 3, 5 * 3, 7 * 3]
    assert set(task.train.labels) == {0.0, 1.0}  # 2 is the most relevant


def test_training_resumes_and_packs(science, checkpoint, tmp_path, monkeypatch):
    check_training(trainer_of(checkpoint, science), tmp_path, monkeypatch)


def test_a_search_ends_in_an_adapter(checkpoint, tmp_path):
    done = check_search(checkpoint, tmp_path / "study", data="sciq-passages", **ROWS)
    assert "passage reranking" in done["card"] and "pipeline_tag: text-ranking" in done["card"]


def test_a_few_rows_are_learnt(science, checkpoint):
    check_learning(trainer_of(checkpoint, science))


@pytest.mark.slow
def test_the_loss_of_a_real_model_falls():
    first, last = falls(load_task("sciq-passages", train_rows=240, validation_rows=40, test_rows=20), max_length=48)
    assert last < 0.8 * first


def test_layers_are_scored(science, checkpoint):
    trainer = trainer_of(checkpoint, science)
    scores = score_layers("trace", trainer.backbone, trainer.tokenised, rows=40)
    assert all(s == s for s in scores.scores)


def table(queries=20, passages=3, relevance=lambda q, d: int(d == 0)):
    rows = [(f"query {q}", f"passage {q} {d}", relevance(q, d)) for q in range(queries) for d in range(passages)]
    return pd.DataFrame(rows, columns=["query", "passage", "relevance"])


@pytest.mark.parametrize(
    "change, options, sentence",
    [
        (lambda f: f.drop(columns="passage"), {}, "which column of rows.csv holds the passages"),
        (lambda f: f.assign(relevance="good"), {}, "60 of 60 labels of rows.csv are no numbers"),
        (lambda f: f.assign(relevance=-1), {}, "relevance -1"),
        (lambda f: f.assign(relevance=1), {}, "both relevant and irrelevant"),
        (lambda f: f.assign(part=range(60)), {"group": "part"}, "parts the passages of a query"),
        (lambda f: f.assign(relevance=[""] + [1, 0, 0] * 19 + [0, 0]), {}, "1 of 60 rows of rows.csv have no label"),
    ],
)
def test_bad_columns_are_one_sentence(tmp_path, change, options, sentence):
    change(table()).to_csv(tmp_path / "rows.csv", index=False)
    with pytest.raises(AutopeftError, match=sentence):
        load_task(str(tmp_path / "rows.csv"), task="reranking", **options)
