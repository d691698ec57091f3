"""Questions with options: every usual way to write them is read as the same rows, anything else is refused."""

import json

import numpy as np
import pandas as pd
import pytest

from autopeft.base.errors import AutopeftError
from autopeft.tasks.choices import read_choices
from autopeft.tasks.kind import Asked

QUESTIONS = [f"What is {i} plus one?" for i in range(20)]
OPTIONS = [(f"{i} apples", f"{i + 1} apples", f"{i + 2} apples") for i in range(20)]
RIGHT = [i % 3 for i in range(20)]


def rows(splits) -> dict:
    return {q: (options, i) for split in splits.values() for (q, options), i in zip(split.texts, split.labels)}


def read(**columns):
    return read_choices({"train": pd.DataFrame(columns)}, Asked("quiz.csv"))


COLUMNS = {f"option{k + 1}": [o[k] for o in OPTIONS] for k in range(3)}
WAYS = {
    "lists and an index": {"question": QUESTIONS, "choices": [list(o) for o in OPTIONS], "label": RIGHT},
    "arrays, as Parquet gives them": {"question": QUESTIONS, "choices": [np.array(o) for o in OPTIONS], "label": RIGHT},
    "JSON in a CSV cell": {
        "question": QUESTIONS,
        "choices": [json.dumps(o) for o in OPTIONS],
        "label": [str(i) for i in RIGHT],
    },
    "keys, as the hub has them": {
        "question": QUESTIONS,
        "choices": [{"text": list(o), "label": ["A", "B", "C"]} for o in OPTIONS],
        "answerKey": ["ABC"[i] for i in RIGHT],
    },
    "a column each, counted from one": {"query": QUESTIONS, **COLUMNS, "answer": [str(i + 1) for i in RIGHT]},
    "letters": {"question": QUESTIONS, **dict(zip("ABC", zip(*OPTIONS))), "label": ["abc"[i] for i in RIGHT]},
    "the option's text": {"question": QUESTIONS, **COLUMNS, "label": [o[i] for o, i in zip(OPTIONS, RIGHT)]},
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_write_a_choice_is_the_same_rows(way):
    made = read(**WAYS[way])
    assert rows(made.splits) == {q: (o, i) for q, o, i in zip(QUESTIONS, OPTIONS, RIGHT)}
    assert [len(made.splits[p]) for p in ("train", "validation", "test")] == [13, 3, 4]
    assert any("The right option is given as" in note for note in made.notes)


def test_named_columns_are_joined_and_a_row_may_have_fewer_options():
    frame = pd.DataFrame({"context": ["Ann ran."] * 20, "q": QUESTIONS, **COLUMNS, "label": RIGHT})
    frame.loc[0, "option3"] = ""
    made = read_choices({"train": frame}, Asked("quiz.csv", "context,q", "option1,option2,option3"))
    found = rows(made.splits)
    assert found["Ann ran. What is 0 plus one?"] == (("0 apples", "1 apples"), 0) and len(found) == 20


BAD = {
    "no column": ({"question": QUESTIONS, "label": RIGHT}, "Name them with --text-pair"),
    "no list": ({"question": QUESTIONS, "choices": ["a, b"] * 20, "label": RIGHT}, "Row 1 of quiz.csv has no list"),
    "one option": ({"question": QUESTIONS, "choices": [["a"]] * 20, "label": [0] * 20}, "1 different options"),
    "beyond": ({"question": QUESTIONS, **COLUMNS, "label": [7, *RIGHT[1:]]}, "the label '7' means"),
    "none of its options": (
        {
            "question": QUESTIONS,
            "choices": [{"text": list(o), "label": ["A", "B", "C"]} for o in OPTIONS],
            "answerKey": ["D", *["A"] * 19],
        },
        "Row 1 of quiz.csv says that 'D' is right",
    ),
    "no label": (
        {"question": QUESTIONS, **COLUMNS, "label": [None, *RIGHT[1:]]},
        "1 of 20 rows of quiz.csv have no label",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_read_is_refused_in_a_sentence(case):
    columns, sentence = BAD[case]
    with pytest.raises(AutopeftError, match=sentence):
        read(**columns)
