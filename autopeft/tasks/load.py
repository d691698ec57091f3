"""A data source -> Task: cleaned, split once, with its metric. Imports no torch."""

import hashlib
import json
from pathlib import Path

import pandas as pd

from autopeft.errors import AutopeftError
from autopeft.packages import Progress
from autopeft.tasks.builtin import SOURCES, read_builtin
from autopeft.tasks.columns import MissingLabels, check_classes, clean_rows, select_columns
from autopeft.tasks.files import read_source
from autopeft.tasks.metrics import check_metric
from autopeft.tasks.splits import cap, cut, remove_duplicates
from autopeft.tasks.task import Split, Task


def load_task(
    data: str,
    *,
    text: str | None = None,
    text_pair: str | None = None,
    label: str | None = None,
    group: str | None = None,
    metric: str = "accuracy",
    seed: int = 0,
    train_rows: int | None = None,
    validation_rows: int | None = None,
    test_rows: int | None = None,
    missing_labels: MissingLabels = "refuse",
    progress: Progress | None = None,
) -> Task:
    """Built-in name, file, `datasets` folder or hub name -> Task.

    Columns are found when they are not named. `seed` is the splits' own: it has nothing to do with a search's, so the
    same data always gives the same splits. The row counts cap a split by a stratified subset.
    Raises AutopeftError for data that no task can be made of.
    """
    check_metric(metric)
    rows = {"train": train_rows, "validation": validation_rows, "test": test_rows}
    _check_rows(rows)
    frames = read_builtin(data, progress) if data in SOURCES else read_source(data, progress)
    name = data if data in SOURCES else Path(data).name if Path(data).expanduser().exists() else data
    if data in SOURCES and "group" in frames["train"]:
        group = group or "group"
    frames = select_columns(frames, name, text, text_pair, label, group)
    frames, notes = clean_rows(frames, name, missing_labels)
    frames, duplicates = remove_duplicates(frames)
    label_names = check_classes(frames, name)
    frames, cuts = cut(frames, name, seed)
    splits = {part: _split(cap(frame, rows[part], seed), label_names) for part, frame in frames.items()}
    notes += duplicates + cuts + _cap_notes(frames, splits)
    return Task(
        name, label_names, metric, **splits, notes=tuple(notes), fingerprint=_fingerprint(splits, label_names, metric)
    )


def _check_rows(rows: dict[str, int | None]) -> None:
    for part, number in rows.items():
        if number is not None and number < 2:
            raise AutopeftError(f"The number of {part} rows is {number}. Ask for at least 2.")


def _cap_notes(frames: dict[str, pd.DataFrame], splits: dict[str, Split]) -> list[str]:
    return [
        f"Used {len(split):,} of {len(frames[part]):,} {part} rows, stratified by label."
        for part, split in splits.items()
        if len(split) < len(frames[part])
    ]


def _split(frame: pd.DataFrame, label_names: tuple[str, ...]) -> Split:
    index = {label: number for number, label in enumerate(label_names)}
    texts = zip(frame["text"], frame["text2"]) if "text2" in frame else frame["text"]
    return Split(tuple(texts), tuple(index[label] for label in frame["label"]))


def _fingerprint(splits: dict[str, Split], label_names: tuple[str, ...], metric: str) -> str:
    content = [label_names, metric, [(part, split.texts, split.labels) for part, split in sorted(splits.items())]]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()
