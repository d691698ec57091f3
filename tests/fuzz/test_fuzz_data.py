"""Data files as bytes and as tables of anything: a task or one sentence."""

import json
import warnings

import pandas as pd
import pyarrow.parquet
import pytest
from fuzz_cases import result_or_sentence
from fuzzed_study import PLAIN, damaged
from hypothesis import example, given
from hypothesis import strategies as st

from autopeft.base.errors import AutopeftError
from autopeft.tasks import load_task
from autopeft.tasks.kind import all_kinds

KINDS = sorted(k.name for k in all_kinds().values() if k.modality == "text")
ROWS = [{"text": f"review {n}, so", "label": "ab"[n % 2], "group": n % 7} for n in range(24)]
NAMES = ["text", "label", "text2", "group", "tokens", "tags", "question", "context", "answers", "choices", "messages"]
ROLES = ["label", "text", "group", "text_pair"]
CELLS = PLAIN | st.lists(PLAIN, max_size=2) | st.dictionaries(st.sampled_from(["role", "content", "text"]), PLAIN)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


def read(path, **asked):
    """The task of a file: three splits that share no text."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        task = result_or_sentence(load_task, str(path), **asked)
    if task is not None:
        assert len(task.train) and len(task.validation) and len(task.test)
        json.dumps(task.summary())
    return task


def whole(suffix: str, path) -> bytes:
    frame = pd.DataFrame(ROWS)
    {
        "csv": lambda: frame.to_csv(path, index=False),
        "tsv": lambda: frame.to_csv(path, index=False, sep="\t"),
        "jsonl": lambda: frame.to_json(path, orient="records", lines=True),
        "json": lambda: frame.to_json(path, orient="records"),
        "parquet": lambda: frame.to_parquet(path),
    }[suffix]()
    return path.read_bytes()


@given(suffix=st.sampled_from(["csv", "tsv", "jsonl", "json", "parquet"]), data=st.data())
def test_damaged_files(folder, suffix, data):
    path = folder / f"damaged.{suffix}"
    path.write_bytes(data.draw(damaged(whole(suffix, path))))
    read(path)


@given(
    suffix=st.sampled_from(["csv", "tsv", "jsonl", "json", "parquet"]),
    content=st.binary(max_size=80) | st.text("text,label\n\t\"'\\{}[]:1é\0\r", max_size=80).map(str.encode),
)
@example(suffix="json", content=b"[" * 100_000)
@example(suffix="jsonl", content=b'{"a": ' * 50_000)
@example(suffix="jsonl", content=b'{"text": ' + b"9" * 5000 + b"}")
@example(suffix="json", content=b'[{"text": "a", "label": ' + b"9" * 5000 + b"}]")
@example(suffix="json", content=b'[{"text": "\\ud800", "label": 1}]')
def test_any_bytes(folder, suffix, content):
    path = folder / f"bytes.{suffix}"
    path.write_bytes(content)
    read(path)


@given(
    rows=st.lists(st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=3), CELLS, max_size=5), max_size=12),
    copies=st.integers(1, 4),
    task=st.sampled_from(KINDS),
    asked=st.lists(st.sampled_from(NAMES), max_size=2, unique=True).map(lambda names: dict(zip(ROLES, names))),
    rows_asked=st.none() | st.integers(-1, 5),
)
def test_tables_of_anything(folder, rows, copies, task, asked, rows_asked):
    path = folder / "table.jsonl"
    lines = [json.dumps({**row, "n": f"{n}"}) for n in range(copies) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    read(path, task=task, train_rows=rows_asked, missing_labels="drop", **asked)


@given(
    texts=st.lists(st.text(max_size=6), min_size=6, max_size=40),
    labels=st.lists(
        st.sampled_from(["a", "b", "1", "1.0", " a", "", "nan", "2e400", "x" * 50]), min_size=1, max_size=9
    ),
    groups=st.none() | st.lists(st.integers(0, 4), min_size=1, max_size=5),
    task=st.sampled_from(["classification", "regression"]),
)
def test_nearly_right_tables(folder, texts, labels, groups, task):
    path = folder / "nearly.csv"
    rows = [{"text": t, "label": labels[n % len(labels)]} for n, t in enumerate(texts)]
    if groups:
        rows = [{**row, "group": groups[n % len(groups)]} for n, row in enumerate(rows)]
    pd.DataFrame(rows).to_csv(path, index=False, errors="replace")
    made = read(path, task=task, missing_labels="drop", group="group" if groups else None)
    if made is not None:
        parts = [set(made.train.texts), set(made.validation.texts), set(made.test.texts)]
        assert sum(map(len, parts)) == len(set.union(*parts))


@pytest.mark.parametrize("damage", ["text", "metadata"])
def test_a_parquet_file_that_is_damaged_inside(folder, damage):
    """A text that is no UTF-8 and metadata that are no JSON ended in tracebacks of pyarrow and pandas."""
    path = folder / "inside.parquet"
    table = pyarrow.Table.from_pandas(pd.DataFrame(ROWS))
    if damage == "metadata":
        table = table.replace_schema_metadata({"pandas": "{{"})
    pyarrow.parquet.write_table(table, path, compression="none")
    if damage == "text":
        path.write_bytes(path.read_bytes().replace(b"review 3,", b"review\xff3,"))
    with pytest.raises(AutopeftError, match="is not a readable Parquet file"):
        load_task(str(path))
