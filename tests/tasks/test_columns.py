"""Columns are found or named; rows that cannot be learnt from are counted and dropped or refused."""

import pandas as pd
import pytest

from autopeft.base.errors import AutopeftError
from autopeft.tasks import load_task


@pytest.fixture
def table(tmp_path):
    """Write a table and return its path; Parquet keeps the types of the columns."""

    def write(**columns) -> str:
        pd.DataFrame(columns).to_parquet(tmp_path / "table.parquet")
        return str(tmp_path / "table.parquet")

    return write


def texts(rows: int = 40, word: str = "text") -> list[str]:
    return [f"{word} {n}" for n in range(rows)]


def two(rows: int = 40) -> list[str]:
    return ["a", "b"] * (rows // 2)


def everything(task) -> set:
    return {*task.train.texts, *task.validation.texts, *task.test.texts}


def test_usual_names_are_found(table):
    task = load_task(table(id=list(range(40)), Review=texts(), Sentiment=two()))
    assert everything(task) == set(texts()) and task.label_names == ("a", "b")


def test_a_usual_pair_is_found(table):
    task = load_task(table(premise=texts(word="p"), hypothesis=texts(word="h"), label=two()))
    assert everything(task) == set(zip(texts(word="p"), texts(word="h")))


def test_named_columns_win(table):
    task = load_task(
        table(text=texts(), first=texts(word="f"), second=texts(word="s"), label=two(), mood=["x", "y"] * 20),
        text="first",
        text_pair="second",
        label="mood",
    )
    assert everything(task) == set(zip(texts(word="f"), texts(word="s"))) and task.label_names == ("x", "y")


def test_numeric_labels_have_one_spelling_and_the_order_of_numbers(table):
    task = load_task(table(text=texts(60), label=[1.0, 2.0, 10.0] * 20))
    assert task.label_names == ("1", "2", "10")


@pytest.mark.parametrize(
    "named, sentence",
    [
        ({"label": "lable"}, "has no column 'lable'"),
        ({"text": "txt"}, "Did you mean 'text'"),
        ({"group": "movie"}, "has no column 'movie'"),
    ],
)
def test_a_column_that_is_not_there_is_one_sentence(table, named, sentence):
    with pytest.raises(AutopeftError, match=sentence):
        load_task(table(text=texts(), label=two()), **named)


def test_columns_that_cannot_be_told_apart_are_asked_for(table):
    with pytest.raises(AutopeftError, match="--label"):
        load_task(table(text=texts(), mood=two()))
    with pytest.raises(AutopeftError, match="--text"):
        load_task(table(first=texts(), second=texts(), label=two()))


@pytest.mark.parametrize(
    "named, sentence",
    [
        ({"text_pair": "label", "label": "label"}, "--text-pair names the column 'label' of table.parquet"),
        ({"text": "label", "label": "label"}, "--text names the column 'label'"),
        (
            {"group": "label", "label": "label"},
            "--group names the column 'label' .* rows of one label would lie in one split",
        ),
        ({"text": "text", "text_pair": "text"}, "--text and --text-pair both name the column 'text'"),
    ],
)
@pytest.mark.parametrize("task", ["classification", "regression", "reranking", "instruction", "choice"])
def test_a_column_that_is_named_twice_is_one_sentence(table, named, sentence, task):
    with pytest.raises(AutopeftError, match=sentence):
        load_task(table(text=texts(), text2=texts(word="b"), label=two()), task=task, **named)


def test_the_label_that_is_found_is_no_second_text(table):
    with pytest.raises(AutopeftError, match="--text-pair names the column 'label' of .* would read its answer"):
        load_task(table(text=texts(), label=two()), text_pair="label")


def test_the_text_may_also_be_what_stays_together(table):
    pairs = {
        "text": [f"text {n // 2}" for n in range(40)],
        "text2": texts(word="second"),
        "label": ["a", "a", "b", "b"] * 10,
    }
    task = load_task(table(**pairs), text="text", text_pair="text2", group="text")
    assert not {text for text, _ in task.train.texts} & {text for text, _ in task.test.texts}


def test_what_was_read_and_what_is_odd_about_it_is_said(table):
    labels = ["Pos", "pos", "neg", "neg"] * 10
    task = load_task(
        table(text=texts(), mood=labels, verdict=[x.lower() for x in labels], who=["x", "y"] * 20), label="mood"
    )
    assert task.reading == (
        "Read column 'text' as text, column 'mood' as label; classes of the training rows: Pos 23.1 %, neg 50 %, pos 26.9 %."
    )
    assert "The classes 'Pos' and 'pos' differ in upper and lower case only: are they one?" in task.notes
    decided = load_task(table(text=texts(), label=two(), verdict=["yes", "no"] * 20, who=["x"] * 39 + ["y"]))
    assert "The column 'verdict' decides the label alone: it is not read." in decided.notes
    assert not any("'who'" in note for note in decided.notes)
    read = load_task(table(text=texts(), label=two(), verdict=["yes", "no"] * 20), text="text", text_pair="verdict")
    assert "The column 'verdict' decides the label alone: the model reads it." in read.notes


def test_missing_labels_are_counted_and_refused_or_dropped(table):
    path = table(text=texts(), label=[None, "", " "] + ["a", "b"] * 18 + ["a"])
    with pytest.raises(AutopeftError, match="3 of 40 rows of table.parquet have no label"):
        load_task(path)
    task = load_task(path, missing_labels="drop")
    assert len(everything(task)) == 37 and "Dropped 3 of 40 rows" in task.notes[0]


def test_rows_without_a_text_are_dropped_and_reported(table):
    task = load_task(table(text=[None, "", "  ", *texts(37)], label=two()))
    assert everything(task) == set(texts(37)) and "Dropped 3 of 40 rows" in task.notes[0]


@pytest.mark.parametrize(
    "columns, sentence",
    [
        ({"text": texts(), "label": ["a"] * 40}, "one class only, 'a'"),
        ({"text": texts(), "label": ["a", "b"] * 19 + ["a", "rare"]}, r"1 of 3 classes .* one example only \('rare'\)"),
        ({"text": texts(), "label": [None] * 40}, "No row of table.parquet has a label"),
        ({"text": list(range(40)), "label": two()}, "Row 1 of table.parquet holds int 0"),
        ({"text": [str(n) for n in range(40)], "label": two()}, "holds only numbers"),
        ({"text": [""] * 40, "label": two()}, "No row of table.parquet has a text"),
        ({"text": texts(400), "label": [n / 7 for n in range(400)]}, "400 different fractional numbers"),
        ({"text": [], "label": []}, "has no rows"),
    ],
)
def test_data_that_is_no_classification_task_is_one_sentence(table, columns, sentence):
    with pytest.raises(AutopeftError, match=sentence):
        load_task(table(**columns))
