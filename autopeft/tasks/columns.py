"""Frames with any columns -> frames with text, label and where asked text2 and group."""

from collections.abc import Mapping
from typing import NamedTuple

from autopeft.base.errors import AutopeftError, did_you_mean
from autopeft.tasks.builtin import Frames
from autopeft.tasks.kind import Asked

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
OPTIONS = {"text": "--text", "text2": "--text-pair", "label": "--label", "group": "--group"}


def select_columns(frames: Frames, asked: Asked, labels: tuple[str, ...] = _LABELS) -> Frames:
    """Find the columns of the train split by name, or take those the user named, and rename them in every split.

    A column that another split lacks is missing in all its rows: a test split without labels is no error.
    Raises AutopeftError, with a suggestion, for a column that is not there, cannot be found or is named twice.
    """
    columns, text, pair = named_columns(frames, asked), asked.text, asked.text_pair
    label = asked.label or _find_label(columns, asked.name, labels)
    roles = {"text": text, "text2": pair, "label": label, "group": asked.group}
    refuse_twice(roles, asked.name)
    if not text:
        text, found_pair = _find_text(columns, asked.name, {label, asked.group, pair})
        roles |= {"text": text, "text2": pair or found_pair}
    return called_by_role(frames, asked, {role: column for role, column in roles.items() if column})


def named_columns(frames: Frames, asked: Asked) -> list[str]:
    """The columns of the train split. Raises AutopeftError, with a suggestion, for a named one that is not there."""
    columns = [str(column) for column in frames["train"].columns]
    for column in filter(None, (asked.text, asked.text_pair, asked.label, asked.group)):
        if column not in columns:
            raise AutopeftError(f"{asked.name} has no column '{column}'.{did_you_mean(column, columns)}")
    return columns


def refuse_twice(roles: Mapping[str, str | None], name: str) -> None:
    """Raise AutopeftError where the label's column is also something else, or a pair is one column twice."""
    label, text = roles.get("label"), roles.get("text")
    for role in ("text", "text2", "group"):
        if label and roles.get(role) == label:
            why = "rows of one label would lie in one split" if role == "group" else "a model would read its answer"
            raise AutopeftError(
                f"{OPTIONS[role]} names the column '{label}' of {name}, which is the label: {why}. Name another column "
                f"with {OPTIONS[role]}, or the label's with --label."
            )
    if text and roles.get("text2") == text:
        raise AutopeftError(
            f"--text and --text-pair both name the column '{text}' of {name}: name the second text's column, or leave "
            "--text-pair out."
        )


def called_by_role(frames: Frames, asked: Asked, roles: Mapping[str, str]) -> Frames:
    """Each split with the columns that have a role, called by it; `asked` is told which were taken."""
    asked.taken.update(roles)
    columns = list(roles.values())
    found = {
        part: frame.rename(columns=str).reindex(columns=list(dict.fromkeys(columns)))[columns]
        for part, frame in frames.items()
    }
    return {part: frame.set_axis(list(roles), axis=1).reset_index(drop=True) for part, frame in found.items()}


class Column(NamedTuple):
    """A column that a kind of task reads: the user's name for it, usual ones, what it holds, the option that names it."""

    asked: str | None
    usual: tuple[str, ...]
    what: str
    option: str


def pick_columns(frames: Frames, asked: Asked, wanted: dict[str, Column]) -> Frames:
    """Find or take each wanted column and call it by its key; a column that another split lacks is missing in its rows.

    Raises AutopeftError, with a suggestion, for a column that is not there, cannot be found or is named twice.
    """
    columns, roles = named_columns(frames, asked), dict[str, str]()
    refuse_twice({"text": asked.text, "text2": asked.text_pair, "label": asked.label, "group": asked.group}, asked.name)
    taken = {w.asked for w in wanted.values()}
    lower = {column.lower(): column for column in reversed(columns) if column not in taken}
    for key, (named, usual, what, option) in wanted.items():
        found = named or next((lower.pop(candidate) for candidate in usual if candidate in lower), None)
        if found is None:
            raise AutopeftError(
                f"Cannot tell which column of {asked.name} holds the {what}; it has: {', '.join(columns)}. Name it with "
                f"{option}."
            )
        roles[key] = found
    if asked.group:
        roles["group"] = asked.group
    refuse_twice({"label": roles.get("label") or roles.get("tags"), "group": asked.group}, asked.name)
    return called_by_role(frames, asked, roles)


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


def select_texts(frames: Frames, asked: Asked) -> Frames:
    """The column of texts, found as `select_columns` finds it or named, with the group: for kinds without labels."""
    columns = named_columns(frames, asked)
    roles = {"text": asked.text or _find_text(columns, asked.name, {asked.group})[0]}
    return called_by_role(frames, asked, {**roles, **({"group": asked.group} if asked.group else {})})
