"""Frames with any columns -> frames with text, label and where asked text2 and group, checked."""

from typing import NamedTuple

import pandas as pd

from autopeft.base.errors import AutopeftError, did_you_mean
from autopeft.tasks.builtin import Frames
from autopeft.tasks.kind import MissingLabels

_TEXTS = (
    "text",
    "sentence",
    "review",
    "content",
    "document",
    "comment",
    "tweet",
    "message",
    "body",
    "headline",
    "question",
    "title",
)
_PAIRS = (
    ("text", "text2"),
    ("text", "text_pair"),
    ("text1", "text2"),
    ("text_a", "text_b"),
    ("sentence1", "sentence2"),
    ("sentence_a", "sentence_b"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("question", "sentence"),
    ("question", "passage"),
)
_LABELS = ("label", "labels", "class", "category", "target", "sentiment", "topic", "y")
_MOST_VALUES = 50  # more distinct fractional labels than this are measurements, not classes


def select_columns(
    frames: Frames,
    name: str,
    text: str | None,
    text_pair: str | None,
    label: str | None,
    group: str | None,
    labels: tuple[str, ...] = _LABELS,
) -> Frames:
    """Find the columns of the train split by name, or take those the user named, and rename them in every split.

    A column that another split lacks is missing in all its rows: a test split without labels is no error.
    Raises AutopeftError, with a suggestion, for a column that is not there or cannot be found.
    """
    columns = [str(column) for column in frames["train"].columns]
    for column in filter(None, (text, text_pair, label, group)):
        if column not in columns:
            raise AutopeftError(f"{name} has no column '{column}'.{did_you_mean(column, columns)}")
    label = label or _find_label(columns, name, labels)
    found, found_pair = (text, text_pair) if text else _find_text(columns, name, {label, group, text_pair})
    chosen = {found: "text", text_pair or found_pair: "text2", label: "label", group: "group"}
    chosen = {column: role for column, role in chosen.items() if column}
    return {
        part: frame.rename(columns=str).reindex(columns=list(chosen)).rename(columns=chosen).reset_index(drop=True)
        for part, frame in frames.items()
    }


class Column(NamedTuple):
    """A column that a kind of task reads: the user's name for it, usual ones, what it holds, the option that names it."""

    asked: str | None
    usual: tuple[str, ...]
    what: str
    option: str


def pick_columns(frames: Frames, name: str, wanted: dict[str, Column], group: str | None) -> Frames:
    """Find or take each wanted column and call it by its key; a column that another split lacks is missing in its rows.

    Raises AutopeftError, with a suggestion, for a column that is not there or cannot be found.
    """
    columns, chosen = [str(column) for column in frames["train"].columns], {}
    for column in filter(None, (*(w.asked for w in wanted.values()), group)):
        if column not in columns:
            raise AutopeftError(f"{name} has no column '{column}'.{did_you_mean(column, columns)}")
    taken = {w.asked for w in wanted.values()} | {group}
    lower = {column.lower(): column for column in reversed(columns) if column not in taken}
    for key, (asked, usual, what, option) in wanted.items():
        found = asked or next((lower.pop(candidate) for candidate in usual if candidate in lower), None)
        if found is None:
            raise AutopeftError(
                f"Cannot tell which column of {name} holds the {what}; it has: {', '.join(columns)}. Name it with {option}."
            )
        chosen[found] = key
    if group:
        chosen[group] = "group"
    return {
        part: frame.rename(columns=str).reindex(columns=list(chosen)).rename(columns=chosen).reset_index(drop=True)
        for part, frame in frames.items()
    }


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


def _find_label(columns: list[str], name: str, labels: tuple[str, ...]) -> str:
    lower = {column.lower(): column for column in columns}
    for candidate in labels:
        if candidate in lower:
            return lower[candidate]
    raise AutopeftError(
        f"Cannot tell which column of {name} holds the labels; it has: {', '.join(columns)}. Name it with --label."
    )


def _find_text(columns: list[str], name: str, taken: set[str | None]) -> tuple[str, str | None]:
    """The text column, and the second of a pair when both have well-known names."""
    free = [column for column in columns if column not in taken]
    lower = {column.lower(): column for column in free}
    for first, second in _PAIRS:
        if first in lower and second in lower:
            return lower[first], lower[second]
    for candidate in _TEXTS:
        if candidate in lower:
            return lower[candidate], None
    if len(free) == 1:
        return free[0], None
    raise AutopeftError(
        f"Cannot tell which column of {name} holds the texts; it has: {', '.join(columns)}. Name it with --text."
    )


def select_texts(frames: Frames, name: str, text: str | None, group: str | None) -> Frames:
    """The column of texts, found as `select_columns` finds it or named, with the group: for kinds without labels."""
    columns = [str(column) for column in frames["train"].columns]
    for column in filter(None, (text, group)):
        if column not in columns:
            raise AutopeftError(f"{name} has no column '{column}'.{did_you_mean(column, columns)}")
    chosen = {text or _find_text(columns, name, {group})[0]: "text", **({group: "group"} if group else {})}
    return {
        part: frame.rename(columns=str).reindex(columns=list(chosen)).rename(columns=chosen).reset_index(drop=True)
        for part, frame in frames.items()
    }


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
        frame = frame.assign(label=frame["label"].map(_label_text))
        if part != "train" and frame["label"].isna().all():
            notes.append(f"The {part} split has no labels and was left out.")
            continue
        frame = _without_missing_labels(frame, where, missing_labels, notes)
        cleaned[part] = _without_empty_texts(frame, where, notes, content)
    return cleaned, notes


def _label_text(value: object) -> str | None:
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
    empty = texts.apply(lambda column: column.isna() | column.map(lambda value: value == "" or str(value).isspace()))
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


def check_classes(frames: Frames, name: str) -> tuple[str, ...]:
    """Frames -> the class names in order (numbers by value), refusing what is not a classification task."""
    counts = pd.concat([frame["label"] for frame in frames.values()]).value_counts()
    numbers = [number for label in counts.index if (number := as_number(label)) is not None]
    if len(numbers) == len(counts) > _MOST_VALUES and not all(number.is_integer() for number in numbers):
        raise AutopeftError(
            f"The labels of {name} are {len(counts)} different fractional numbers, which are no classes: predict "
            "them with --task regression, or cut them into classes."
        )
    if len(counts) == 1:
        raise AutopeftError(f"{name} has one class only, '{counts.index[0]}'. Give at least two.")
    if counts.min() < 2:
        alone = [str(label) for label in counts.index[counts == 1]]
        shown = ", ".join(f"'{label}'" for label in sorted(alone)[:3]) + (", ..." if len(alone) > 3 else "")
        raise AutopeftError(
            f"{len(alone)} of {len(counts)} classes of {name} have one example only ({shown}). "
            "Add examples, merge those classes or remove them."
        )
    labels = [str(label) for label in counts.index]
    return tuple(sorted(labels, key=float) if len(numbers) == len(counts) else sorted(labels))
