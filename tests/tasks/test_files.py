"""Every format gives the same task, and every unreadable input one sentence."""

import json

import pandas as pd
import pytest

from autopeft.base.errors import AutopeftError
from autopeft.tasks import load_task

ROWS = [{"text": f'review {n}, with "quotes" and a, comma', "label": "good" if n % 3 else "bad"} for n in range(60)]
FRAME = pd.DataFrame(ROWS)


def write_jsonl(path):
    path.write_text("\n".join(json.dumps(row) for row in ROWS) + "\n")


WRITERS = {
    "reviews.csv": lambda path: FRAME.to_csv(path, index=False),
    "reviews.tsv": lambda path: FRAME.to_csv(path, index=False, sep="\t"),
    "reviews.jsonl": write_jsonl,
    "reviews.json": lambda path: path.write_text(json.dumps(ROWS)),
    "reviews.parquet": lambda path: FRAME.to_parquet(path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_each_format_gives_the_same_task(name, tmp_path):
    WRITERS[name](tmp_path / name)
    FRAME.to_csv(tmp_path / "reference.csv", index=False)
    task = load_task(str(tmp_path / name))
    assert task.name == name
    assert task.fingerprint == load_task(str(tmp_path / "reference.csv")).fingerprint
    assert task.label_names == ("bad", "good") and len(task.train) + len(task.validation) + len(task.test) == 60


def test_a_saved_datasets_folder_keeps_its_splits_and_class_names(tmp_path):
    import datasets

    features = datasets.Features(
        {"sentence": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])}
    )
    parts = {
        part: datasets.Dataset.from_dict(
            {
                "sentence": [f"{part} {n}" for n in range(rows)],
                "label": [n % 2 if part != "test" else -1 for n in range(rows)],
            },
            features=features,
        )
        for part, rows in (("train", 40), ("validation", 10), ("test", 10))
    }
    datasets.DatasetDict(parts).save_to_disk(str(tmp_path / "saved"))
    task = load_task(str(tmp_path / "saved"))
    assert task.label_names == ("no", "yes")
    assert set(task.validation.texts) == {f"validation {n}" for n in range(10)}
    assert all(text.startswith("train") for text in task.test.texts) and len(task.test) == 8
    assert "The test split has no labels and was left out." in task.notes
    parts["test"] = parts["test"].remove_columns("label")
    datasets.DatasetDict(parts).save_to_disk(str(tmp_path / "columnless"))
    assert load_task(str(tmp_path / "columnless")).fingerprint == task.fingerprint
    parts["train"].save_to_disk(str(tmp_path / "one"))
    assert len(load_task(str(tmp_path / "one")).test) == 8


BAD_FILES = {
    "empty.csv": ("", "is empty"),
    "header.csv": ("text,label\n", "has no rows"),
    "ragged.csv": ("text,label\na,b\nc,d,e,f\n", "more fields than its header"),
    "broken.jsonl": ('{"text": "a", "label": 1}\n{"text": \n', "Line 2 of"),
    "list.jsonl": ("[1]\n", "Line 1 of .* is not an object"),
    "object.json": ('{"text": "a"}', "not a list of objects"),
    "broken.json": ("[\n{,\n", "Line 2 of"),
    "broken.parquet": ("PAR1 and no more", "not a readable Parquet file"),
    "notes.docx": ("words", "suffix '.docx'"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_an_unreadable_file_is_one_sentence(name, tmp_path):
    content, sentence = BAD_FILES[name]
    (tmp_path / name).write_text(content)
    with pytest.raises(AutopeftError, match=sentence):
        load_task(str(tmp_path / name))


def test_text_that_is_not_utf8_is_one_sentence(tmp_path):
    (tmp_path / "latin.csv").write_bytes("text,label\ncaf\xe9,a\n".encode("latin-1"))
    with pytest.raises(AutopeftError, match="not UTF-8"):
        load_task(str(tmp_path / "latin.csv"))


@pytest.mark.parametrize(
    "data, sentence",
    [
        ("rotten-tomatos", "Did you mean 'rotten-tomatoes'"),
        ("missing.csv", "There is no file missing.csv"),
        ("./nowhere/reviews", "There is no file nowhere/reviews"),
    ],
)
def test_a_source_that_is_not_there_is_one_sentence(data, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AutopeftError, match=sentence):
        load_task(data)


def test_a_folder_that_is_not_a_dataset_is_one_sentence(tmp_path):
    with pytest.raises(AutopeftError, match="save_to_disk"):
        load_task(str(tmp_path))


def test_the_hub_out_of_reach_is_one_sentence(monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    with pytest.raises(AutopeftError, match="hub cannot be reached"):
        load_task("nobody/no-such-data")


@pytest.mark.parametrize("separator, name", [(";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")])
def test_another_delimiter_than_the_suffix_promises_is_read_and_said(tmp_path, separator, name):
    FRAME.to_csv(tmp_path / "reviews.csv", index=False, sep=separator)
    FRAME.to_csv(tmp_path / "reference.tsv", index=False, sep="\t")
    task = load_task(str(tmp_path / "reviews.csv"))
    assert task.fingerprint == load_task(str(tmp_path / "reference.tsv")).fingerprint
    assert f"reviews.csv is separated by {name}, and was read so." in task.notes


def test_texts_with_semicolons_in_a_single_column_stay_whole(tmp_path):
    (tmp_path / "texts.csv").write_text("text\n" + "".join(f"one; two; {n}\n" for n in range(20)))
    task = load_task(str(tmp_path / "texts.csv"), task="causal-lm")
    assert "one; two; 3" in task.train.texts + task.validation.texts + task.test.texts


@pytest.mark.parametrize(
    "content, sentence",
    [
        (
            "text,label\na, b,x\n" * 1 + "c,y\n" * 9,
            "1 of 10 rows of .*table.csv have more fields than its header's 2; line 2",
        ),
        ("text,label\nfine,x\n\n\na, b, c,y\n", "line 5, the first of them, has 4: quote the texts that hold commas"),
        ('text,label\nfine,x\n"open,y\nmore,x\n', "A quote that opens in line 3 of .*table.csv is never closed"),
        ("text,text\na,b\n", "has 2 columns called 'text'"),
        ("\n\n", "has no header"),
        ("text,label\na\0b,x\n", "Line 2 of .*table.csv holds bytes that are no text"),
    ],
)
def test_a_table_that_does_not_fit_its_header_is_one_sentence(tmp_path, content, sentence):
    (tmp_path / "table.csv").write_text(content)
    with pytest.raises(AutopeftError, match=sentence):
        load_task(str(tmp_path / "table.csv"))
