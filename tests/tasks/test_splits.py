"""Splits are disjoint, stratified, group-aware, and the same every time."""

import pandas as pd
import pytest

from autopeft.base.errors import AutopeftError
from autopeft.tasks import load_task
from autopeft.tasks.duplicates import remove_duplicates
from autopeft.tasks.kind import Asked
from autopeft.tasks.splits import cut, stratified_order


def frame(rows: int = 200, **more) -> pd.DataFrame:
    return pd.DataFrame(
        {"text": [f"text {n}" for n in range(rows)], "label": ["a" if n % 4 else "b" for n in range(rows)], **more}
    )


MORE = [f"more {n}" for n in range(10)]
TWICE = {
    "train": pd.DataFrame({"text": ["one", "one", "two", "three", *MORE], "label": ["a", "a", "b", "a", *"ab" * 5]}),
    "test": pd.DataFrame({"text": ["two", "four"], "label": ["a", "b"]}),
}


def test_sizes_and_proportions():
    splits, _ = cut({"train": frame()}, "toy", seed=0)
    assert {part: len(rows) for part, rows in splits.items()} == {"train": 130, "validation": 30, "test": 40}
    for rows in splits.values():
        assert (rows["label"] == "b").mean() == pytest.approx(0.25, abs=0.02)
    assert len(set(pd.concat(splits.values())["text"])) == 200


def test_the_same_data_gives_the_same_splits_and_another_seed_others():
    first, again, other = (cut({"train": frame()}, "toy", seed)[0]["test"]["text"].tolist() for seed in (0, 0, 1))
    assert first == again != other


def test_own_splits_are_kept_and_the_lacking_one_is_cut_from_train():
    own = frame(40).assign(text=lambda rows: "own " + rows["text"])
    splits, notes = cut({"train": frame(), "test": own}, "toy", seed=0)
    assert splits["test"] is own and len(splits["validation"]) == 30 and len(splits["train"]) == 170
    assert len(notes) == 1


def test_no_group_is_in_two_splits():
    splits, _ = cut({"train": frame(group=[n // 5 for n in range(200)])}, "toy", seed=0)
    groups = [set(rows["group"]) for rows in splits.values()]
    assert all(groups) and sum(map(len, groups)) == len(set.union(*groups)) == 40


def test_too_few_groups_is_one_sentence():
    with pytest.raises(AutopeftError, match="group column of toy has 2 values"):
        cut({"train": frame(group=["x", "y"] * 100)}, "toy", seed=0)


def test_a_class_that_train_lacks_is_one_sentence():
    with pytest.raises(AutopeftError, match="class 'new' that its train split lacks"):
        cut({"train": frame(), "test": frame(20).assign(label="new")}, "toy", seed=0)


def test_a_class_of_two_examples_stays_in_train():
    rows = pd.concat([frame(), pd.DataFrame({"text": ["x", "y"], "label": "rare"})], ignore_index=True)
    assert "rare" in set(cut({"train": rows}, "toy", seed=0)[0]["train"]["label"])


def test_duplicates_leave_train_before_validation_before_test():
    frames, notes = remove_duplicates(TWICE, Asked("toy", conflicts="first"))
    assert frames["train"]["text"].tolist() == ["one", "three", *MORE]
    assert frames["test"]["text"].tolist() == ["two", "four"]
    assert notes == [
        "Removed 2 of 16 rows whose text occurs more than once, 1 of them across splits.",
        "1 texts occur with different labels; the first was kept.",
    ]


def test_texts_with_different_labels_are_left_out_or_refused():
    frames, notes = remove_duplicates(TWICE, Asked("toy"))
    assert frames["train"]["text"].tolist() == ["one", "three", *MORE] and frames["test"]["text"].tolist() == ["four"]
    assert notes[1] == "Left out 1 text in 2 rows that occur with different labels (--conflicts first keeps one each)."
    with pytest.raises(AutopeftError, match="1 text in 2 rows of toy occur with different labels, 'two' first"):
        remove_duplicates(TWICE, Asked("toy", conflicts="refuse"))


def test_rows_that_say_the_same_are_too_few():
    same = pd.DataFrame({"text": ["one", "two"] * 40, "label": ["a", "b"] * 40})
    with pytest.raises(AutopeftError, match="toy has too few different texts, 2 in 80 rows"):
        remove_duplicates({"train": same}, Asked("toy"))
    with pytest.raises(AutopeftError, match="Every text of toy occurs with different labels .2 texts in 80 rows"):
        remove_duplicates({"train": same.assign(label=["a"] * 40 + ["b"] * 40)}, Asked("toy"))


def test_too_few_rows_to_cut_from_and_a_split_of_one_row_are_refused():
    with pytest.raises(AutopeftError, match="toy has 9 rows to cut validation and test from: give at least 10"):
        cut({"train": frame(9)}, "toy", seed=0)
    with pytest.raises(AutopeftError, match="The test split of toy has one row"):
        cut({"train": frame(), "test": frame(1)}, "toy", seed=0)


def test_a_longer_stratified_prefix_holds_the_shorter():
    labels = frame()["label"]
    order = stratified_order(labels, seed=3)
    assert sorted(order) == list(range(200))
    for rows in (8, 20, 100):
        assert (labels.iloc[order[:rows]] == "b").sum() == pytest.approx(rows / 4, abs=1)


def test_caps_take_a_stratified_subset_and_say_so(tmp_path):
    frame().to_csv(tmp_path / "toy.csv", index=False)
    whole, capped = (load_task(str(tmp_path / "toy.csv"), train_rows=rows) for rows in (None, 40))
    assert set(capped.train.texts) < set(whole.train.texts) and capped.test == whole.test
    assert len(capped.train) == 40 and capped.train.labels.count(1) == 10
    assert "Used 40 of 130 train rows, stratified by label." in capped.notes
    assert capped.fingerprint != whole.fingerprint
    with pytest.raises(AutopeftError, match="Ask for at least 2"):
        load_task(str(tmp_path / "toy.csv"), test_rows=0)
