"""Frames with questions, options and the right one -> Splits ((question, (option, ...)), index)."""

import json
import re
from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd

from autopeft.base.errors import AutopeftError, did_you_mean
from autopeft.tasks.builtin import Frames
from autopeft.tasks.cleaning import as_number, clean_rows
from autopeft.tasks.columns import refuse_twice
from autopeft.tasks.duplicates import remove_duplicates
from autopeft.tasks.kind import Asked, Read
from autopeft.tasks.splits import cap, cap_notes, cut
from autopeft.tasks.task import Split

_QUESTIONS = ("question", "query", "goal", "context", "ctx", "prompt", "stem", "sentence", "text")
_CHOICES = ("choices", "options", "endings", "answers")
_RIGHT = ("label", "labels", "answer", "answerkey", "answer_key", "gold", "target", "correct", "correct_answer")
_NUMBERED = re.compile(r"(?:(?:choice|option|answer|ending|sol)[ _-]?([0-9]|[a-j])|([a-j]))", re.IGNORECASE)

Options = tuple[str, ...]
Right = Callable[[Options, Options | None, str], int | None]  # options, keys, label -> the right one's number


def read_choices(frames: Frames, asked: Asked) -> Read:
    """Frames with any columns -> cleaned splits of questions with two options or more, and which one is right.

    text names the question's column, text_pair the options': one of lists, or one each; several are joined by commas.
    Raises AutopeftError.
    """
    name = asked.name
    frames = _select(frames, asked)
    typed = all(isinstance(v, Integral) for v in frames["train"]["label"])
    frames, notes = clean_rows(frames, name, asked.missing_labels)
    where = {part: f"{name} ({part})" if len(frames) > 1 else name for part in frames}
    for part, frame in frames.items():
        options, keys = zip(*(_options(row, i, where[part]) for i, row in enumerate(frame["options"])))
        frame = frame.assign(text2=pd.Series(options, dtype=object), keys=pd.Series(keys, dtype=object))
        different = np.array([len(set(row)) == len(row) for row in options])
        if not different.all():
            notes.append(f"Dropped {sum(~different)} of {len(frame):,} rows of {where[part]} with two equal options.")
        frames[part] = frame[different].reset_index(drop=True)
    meaning, right_of = _meaning(frames["train"], typed, name)
    for part, frame in frames.items():
        columns = frame["text2"], frame["keys"], frame["label"]
        right = [right_of(*row) for row in zip(*columns)]
        known = [number for number in right if number is not None]
        if len(known) < len(right):
            row = right.index(None)
            raise AutopeftError(
                f"Row {row + 1} of {where[part]} says that '{frame['label'][row]}' is right, which is none of its "
                f"{len(frame['text2'][row])} options ({meaning}). Correct the row, or name the column with --label."
            )
        frames[part] = frame.assign(right=known).drop(columns=["label", "options", "keys"])
    frames, duplicates = remove_duplicates(frames, asked)
    frames, cuts = cut(frames, name, asked.seed)
    capped = {part: cap(frame, asked.rows.get(part), asked.seed) for part, frame in frames.items()}
    splits = {
        part: Split(tuple(zip(frame["text"], frame["text2"])), tuple(int(i) for i in frame["right"]))
        for part, frame in capped.items()
    }
    said = f"The right option is given as {meaning}."
    return Read((), splits, (*notes, said, *duplicates, *cuts, *cap_notes(frames, capped)))


def _select(frames: Frames, asked: Asked) -> Frames:
    """The columns text, options (what the cells hold, or a list over several columns), label and group."""
    columns = [str(column) for column in frames["train"].columns]
    texts, named = _named(asked.text, columns), _named(asked.text_pair, columns)
    for column in filter(None, (*texts, *named, asked.label, asked.group)):
        if column not in columns:
            raise AutopeftError(f"{asked.name} has no column '{column}'.{did_you_mean(column, columns)}")
    refuse_twice({"text": asked.text, "text2": asked.text_pair, "label": asked.label, "group": asked.group}, asked.name)
    open_ = [c for c in columns if c not in (*named, asked.label)]
    texts = texts or [_find(open_, _QUESTIONS, asked.name, "the questions", "--text")]
    free = [c for c in columns if c not in (*texts, *named, asked.group)]
    label = asked.label or _find(free, _RIGHT, asked.name, "the right option", "--label")
    options = named or _find_options([c for c in free if c != label], asked.name)
    for role, columns_ in (("text", texts), ("text2", options), ("group", [asked.group])):
        refuse_twice({"label": label, role: label if label in columns_ else None}, asked.name)
    asked.taken.update({"question": " + ".join(texts), "options": ", ".join(options), "label": label})
    chosen = {}
    for part, frame in frames.items():
        frame = frame.rename(columns=str).reset_index(drop=True)
        frame = frame.reindex(columns=list(dict.fromkeys([*columns, *frame.columns])))
        cells = frame[options[0]] if len(options) == 1 else pd.Series(frame[options].values.tolist(), dtype=object)
        question = frame[texts[0]] if len(texts) == 1 else frame[texts].agg(" ".join, axis=1)
        made = {"text": question, "options": cells, "label": frame[label]}
        chosen[part] = pd.DataFrame(made | ({"group": frame[asked.group]} if asked.group else {}))
    return chosen


def _named(given: str | None, columns: list[str]) -> list[str]:
    """What an option names: one column, or several joined by commas."""
    return [given] if given in columns else [c.strip() for c in (given or "").split(",") if c.strip()]


def _find(columns: list[str], candidates: Sequence[str], name: str, what: str, option: str) -> str:
    lower = {column.lower(): column for column in columns}
    for candidate in candidates:
        if candidate in lower:
            return lower[candidate]
    raise AutopeftError(
        f"Cannot tell which column of {name} holds {what}; it has: {', '.join(columns)}. Name it with {option}."
    )


def _find_options(columns: list[str], name: str) -> list[str]:
    """The column of lists, or the columns choice0, choice1 ... / option_a, option_b ... / A, B ... in their order."""
    lower = {column.lower(): column for column in columns}
    for candidate in _CHOICES:
        if candidate in lower:
            return [lower[candidate]]
    numbered = sorted((c for c in columns if _NUMBERED.fullmatch(c)), key=str.lower)
    if len(numbered) < 2:
        raise AutopeftError(
            f"Cannot tell which columns of {name} hold the options; it has: {', '.join(columns)}. Name them with "
            "--text-pair: one column of lists, or several joined by commas."
        )
    return numbered


def _options(cell: Any, row: int, where: str) -> tuple[tuple[str, ...], tuple[str, ...] | None]:
    """A cell -> (options, the key of each where the cell has keys, as {"text": [...], "label": ["A", ...]} does)."""
    if isinstance(cell, str) and cell.lstrip()[:1] in ("[", "{"):  # a CSV file holds the list as JSON
        try:
            cell = json.loads(cell)
        except json.JSONDecodeError:
            cell = None
    keys = None
    if isinstance(cell, dict) and "text" in cell:
        cell, keys = cell["text"], cell.get("label")
    if not isinstance(cell, list | tuple | np.ndarray):
        raise AutopeftError(
            f'Row {row + 1} of {where} has no list of options. Write ["...", "..."] there, or one option per column '
            "(option1, option2 ...)."
        )
    options = ["" if v is None or (isinstance(v, float) and v != v) else str(v).strip() for v in cell]
    while options and not options[-1]:  # a row with fewer options than there are columns
        options.pop()
    if len(set(options)) < 2 or "" in options:
        what = "an empty option" if "" in options else f"{len(set(options))} different options"
        raise AutopeftError(f"Row {row + 1} of {where} has {what}. Each question needs two or more different ones.")
    return tuple(options), None if keys is None else tuple(str(key).strip() for key in keys)[: len(options)]


def _meaning(train: pd.DataFrame, typed: bool, name: str) -> tuple[str, Right]:
    """(what the labels are, in words; function (options, keys, label) -> index or None): one meaning for all rows.

    typed: the labels are integers in the source, not words that spell them.
    """
    rows = list(zip(train["text2"], train["keys"], train["label"]))
    numbers = [as_number(label) for _, _, label in rows]
    counted = all(n is not None and 0 <= n <= len(options) for n, (options, _, _) in zip(numbers, rows))
    from_one = counted and 0 not in numbers and any(n == len(o) for n, (o, _, _) in zip(numbers, rows))
    if all(keys is not None for _, keys, _ in rows):
        return "the option's key", lambda options, keys, label: _place(keys or (), label)
    if not (typed and counted) and all(label in options for options, _, label in rows):
        return "the option's text", lambda options, keys, label: _place(options, label)
    if counted:
        start = int(from_one)
        return f"a number counted from {start}", lambda options, keys, label: _counted(options, label, start)
    if all(len(label) == 1 and label.isalpha() for _, _, label in rows):
        return "a letter", lambda options, keys, label: _place("ABCDEFGHIJ"[: len(options)], label.upper())
    label = next(label for options, _, label in rows if label not in options)
    raise AutopeftError(
        f"Cannot tell which option of {name} the label '{label}' means: give its number, its letter or its text in "
        "every row, or name the column with --label."
    )


def _place(values: Sequence[str], wanted: str) -> int | None:
    return list(values).index(wanted) if wanted in values else None


def _counted(options: Sequence[str], label: str, start: int) -> int | None:
    number = as_number(label)
    return int(number) - start if number is not None and start <= number < len(options) + start else None
