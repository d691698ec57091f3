"""What was read as what, and what is odd about it, in sentences that a user sees before anything is trained."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from autopeft.tasks.cleaning import label_text
from autopeft.tasks.kind import TaskKind

ROLES = {"text": "text", "text2": "second text", "right": "right option"}
SHOWN = 6  # classes whose shares are all shown


def reading_note(taken: Mapping[str, str], kind: TaskKind, names: Sequence[str], labels: Sequence[Any]) -> str:
    """Which columns were read as what, and the classes with their shares of the training rows.

    Args:
        taken: what a column is read as -> its name.
        kind: of the task.
        names: of the classes, in their order.
        labels: of the training rows.
    """
    columns = ", ".join(f"column '{column}' as {ROLES.get(role, role)}" for role, column in taken.items())
    if not kind.classes:
        return f"Read {columns}." if columns else ""
    counts = Counter(labels)
    shares = [f"{name} {100 * counts[number] / max(1, len(labels)):.3g} %" for number, name in enumerate(names)]
    if len(shares) > SHOWN:
        order = [number for number, _ in counts.most_common()]
        shares = [f"{len(names)} classes from {shares[order[0]]} to {shares[order[-1]]}"]
    return f"Read {columns}; classes of the training rows: {', '.join(shares)}."


def case_notes(names: Sequence[str]) -> list[str]:
    """A sentence for each pair of classes whose names differ in case only."""
    first: dict[str, str] = {}
    pairs = [(first.setdefault(name.casefold(), name), name) for name in names]
    return [
        f"The classes '{one}' and '{other}' differ in upper and lower case only: are they one?"
        for one, other in pairs
        if one != other
    ]


def deciding_notes(frame: pd.DataFrame, taken: Mapping[str, str]) -> list[str]:
    """A sentence for each column whose value decides the label alone, though rows share its values.

    Args:
        frame: the training rows with the columns of the source.
        taken: what a column is read as -> its name.
    """
    frame = frame.rename(columns=str)
    label = frame[taken["label"]].map(label_text)
    roles = {column: role for role, column in taken.items()}
    notes = []
    for column in frame.columns:
        if column == taken["label"] or (roles.get(column) == "text" and "text2" not in taken):
            continue  # of a single text each is kept once
        if decides(frame[column], label):
            use = {"text": "the model reads it", "text2": "the model reads it", "group": "splits go by it"}
            notes.append(
                f"The column '{column}' decides the label alone: {use.get(roles.get(column, ''), 'it is not read')}."
            )
    return notes


def decides(values: pd.Series, label: pd.Series) -> bool:
    """Whether each value has one label, where a value has two rows or more on average and there are two labels."""
    known = values.notna() & label.notna()
    values, label = values[known], label[known]
    if not len(values) or not all(isinstance(v, str | int | float | bool) for v in values) or label.nunique() < 2:
        return False
    if not 2 <= values.nunique() <= len(values) / 2:
        return False
    return bool((label.groupby(values).nunique() == 1).all())
