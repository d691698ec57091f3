"""A data source -> Task: cleaned, split once, with its metric."""

import hashlib
import json
from pathlib import Path

from autopeft.base.errors import AutopeftError
from autopeft.base.packages import Note
from autopeft.tasks.builtin import SOURCES, read_builtin
from autopeft.tasks.delimited import file_notes
from autopeft.tasks.description import deciding_notes, reading_note
from autopeft.tasks.kind import DEFAULT, Asked, Conflicts, MissingLabels, TaskKind, get_kind
from autopeft.tasks.task import Split, Task


def load_task(
    data: str,
    *,
    text: str | None = None,
    text_pair: str | None = None,
    label: str | None = None,
    group: str | None = None,
    task: str | None = None,
    metric: str | None = None,
    seed: int = 0,
    train_rows: int | None = None,
    validation_rows: int | None = None,
    test_rows: int | None = None,
    missing_labels: MissingLabels = "refuse",
    conflicts: Conflicts | None = None,
    note: Note | None = None,
) -> Task:
    """Read a data source, clean it and split it once.

    Args:
        data: a built-in name, a file, a `datasets` folder or a hub name.
        text: the column of texts; a column that is not named is found by its usual names.
        text_pair: the column of second texts.
        label: the column of labels.
        group: a column whose values stay together in one split.
        task: the name of a kind of task; None takes a built-in source's own, else text classification.
        metric: a metric of the kind or "package.module:function"; None takes the kind's own.
        seed: of the splits. It has nothing to do with a search's, so the same data always gives the same splits.
        train_rows: most rows of the training split, a stratified subset; None keeps all.
        validation_rows: the same for the validation split.
        test_rows: the same for the test split.
        missing_labels: "refuse" ends with an error, "drop" leaves the rows out.
        conflicts: what becomes of texts with different labels: "refuse" ends with an error, "drop" leaves them out, "first"
            keeps the first label; None drops them, but for built-in data and kinds without classes.
        note: is told what is fetched.

    Raises:
        AutopeftError: no task can be made of the data.

    Example:
        >>> load_task("vader-movies").label_names  # doctest: +SKIP
        ('negative', 'positive')
    """
    rows = {"train": train_rows, "validation": validation_rows, "test": test_rows}
    _check_rows(rows)
    builtin = SOURCES.get(data)
    kind = get_kind((builtin.kind if builtin else DEFAULT) if task is None else task)
    if metric is not None:
        kind.metric(metric)
    frames = read_builtin(data, note) if builtin else kind.frames(data, note)
    name = data if builtin else Path(data).name if Path(data).expanduser().exists() else data
    if builtin and "group" in frames["train"]:
        group = group or "group"
    conflicts = conflicts or ("drop" if kind.classes and not builtin else "first")
    asked = Asked(name, text, text_pair, label, group, missing_labels, conflicts, seed, rows)
    made = kind.read(frames, asked)
    metric = metric or kind.default_metric(made.label_names)
    kind.check_metric(metric, made.label_names)
    reading = reading_note(asked.taken, kind, made.label_names, made.splits["train"].labels)
    odd = deciding_notes(frames["train"], asked.taken) if kind.classes and "label" in asked.taken else []
    notes = (*file_notes(frames), *made.notes, *odd)
    fingerprint = _fingerprint(made.splits, made.label_names, metric, kind)
    return Task(
        name, made.label_names, metric, **made.splits, reading=reading, notes=notes, fingerprint=fingerprint, kind=kind
    )


def _check_rows(rows: dict[str, int | None]) -> None:
    for part, number in rows.items():
        if number is not None and number < 2:
            raise AutopeftError(f"The number of {part} rows is {number}. Ask for at least 2.")


def _fingerprint(splits: dict[str, Split], label_names: tuple[str, ...], metric: str, kind: TaskKind) -> str:
    content = [label_names, metric, [(part, split.texts, split.labels) for part, split in sorted(splits.items())]]
    content += [kind.name] if kind.name != DEFAULT else []  # studies made when there was no other keep theirs
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()
