"""Frames with the columns of a task -> the rows that can be learnt from, with a note of what went."""

import pandas as pd

from autopeft.base.errors import AutopeftError
from autopeft.tasks.builtin import Frames
from autopeft.tasks.kind import MissingLabels


def clean_texts(frames: Frames, name: str) -> tuple[Frames, list[str]]:
    """Drop rows without a text; a note per change. Raises AutopeftError for no rows and texts that are not strings."""
    notes: list[str] = []
    cleaned: Frames = {}
    for part, frame in frames.items():
        where = f"{name} ({part})" if len(frames) > 1 else name
        if frame.empty:
            raise AutopeftError(f"{where} has no rows. Give a file with texts.")
        cleaned[part] = _without_empty_texts(frame, where, notes)
    return cleaned, notes


def clean_rows(
    frames: Frames, name: str, missing_labels: MissingLabels, content: str = "text"
) -> tuple[Frames, list[str]]:
    """Drop or refuse what cannot be learnt from; labels become strings. Returns the frames and a note per change.

    content: what the rows hold, in messages.
    A validation or test split without any label (as the hub has them) is left out.
    Raises AutopeftError for no rows, missing labels when refused, and texts that are not strings.
    """
    notes: list[str] = []
    cleaned: Frames = {}
    for part, frame in frames.items():
        where = f"{name} ({part})" if len(frames) > 1 else name
        if frame.empty:
            raise AutopeftError(f"{where} has no rows. Give a file with labelled rows.")
        frame = frame.assign(label=frame["label"].map(label_text))
        if part != "train" and frame["label"].isna().all():
            notes.append(f"The {part} split has no labels and was left out.")
            continue
        frame = _without_missing_labels(frame, where, missing_labels, notes)
        cleaned[part] = _without_empty_texts(frame, where, notes, content)
    return cleaned, notes


def label_text(value: object) -> str | None:
    """One spelling per label: 1, 1.0, "1.0" and " 1 " are the class "1"; nothing, NaN and "" are missing."""
    if value is None or (isinstance(value, float) and value != value) or not str(value).strip():
        return None
    word = str(value).strip()
    number = as_number(word)
    return str(int(number)) if number is not None and number.is_integer() and not isinstance(value, bool) else word


def as_number(word: str) -> float | None:
    """The finite number that a word spells in plain digits, or None."""
    try:
        number = float(word)
    except ValueError:
        return None
    return number if abs(number) < 1e15 else None


def _without_missing_labels(frame: pd.DataFrame, where: str, rule: MissingLabels, notes: list[str]) -> pd.DataFrame:
    missing = int(frame["label"].isna().sum())
    if missing == len(frame):
        raise AutopeftError(f"No row of {where} has a label. Name the label column with --label.")
    if missing and rule == "refuse":
        raise AutopeftError(
            f"{missing} of {len(frame)} rows of {where} have no label. Label them, or drop them with "
            "--missing-labels drop."
        )
    if missing:
        notes.append(f"Dropped {missing:,} of {len(frame):,} rows of {where} without a label.")
    return frame[frame["label"].notna()]


def _without_empty_texts(frame: pd.DataFrame, where: str, notes: list[str], content: str = "text") -> pd.DataFrame:
    texts = frame[[column for column in ("text", "text2") if column in frame]]
    empty = texts.apply(
        lambda column: column.isna() | column.map(lambda value: isinstance(value, str) and not value.strip())
    )
    kept = frame[~empty.any(axis=1)]
    if len(kept) < len(frame):
        notes.append(f"Dropped {len(frame) - len(kept):,} of {len(frame):,} rows of {where} without a {content}.")
    for column in texts:
        _refuse_other_than_texts(kept[column], where)
    if kept.empty:
        raise AutopeftError(f"No row of {where} has a {content}. Name the {content} column with --text.")
    return kept.reset_index(drop=True)


def _refuse_other_than_texts(column: pd.Series, where: str) -> None:
    for row, value in zip(column.index.tolist(), column):
        if not isinstance(value, str):
            raise AutopeftError(
                f"Row {row + 1} of {where} holds {type(value).__name__} {str(value)[:40]} where a text "
                "belongs. Make every text a string, or name the text column with --text."
            )
    if len(column) and all(as_number(value) is not None for value in column):
        raise AutopeftError(f"The text column of {where} holds only numbers. Name the text column with --text.")


def number_labels(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """Labels as texts -> as numbers. Raises AutopeftError for one that is none."""
    found = frame["label"].map(as_number)
    if found.isna().any():
        first = frame["label"][found.isna()].iloc[0]
        raise AutopeftError(
            f"{found.isna().sum():,} of {len(frame):,} labels of {name} are no numbers, '{first[:40]}' first: correct them, "
            "name another column with --label, or choose --task classification."
        )
    return frame.assign(label=found.astype(float))


def refuse_or_drop(
    frame: pd.DataFrame, missing: pd.Series, what: str, where: str, rule: MissingLabels, notes: list[str]
) -> pd.DataFrame:
    """The rows that have labels; a note of how many went. Raises AutopeftError where the rule is to refuse."""
    if missing.any() and not missing.all() and rule == "refuse":
        raise AutopeftError(
            f"{missing.sum():,} of {len(frame):,} rows of {where} have no {what}. Add them, or drop the rows with "
            "--missing-labels drop."
        )
    if missing.any():
        notes.append(f"Dropped {missing.sum():,} of {len(frame):,} rows of {where} without {what}.")
    return frame[~missing]
