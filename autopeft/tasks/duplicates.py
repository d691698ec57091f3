"""Frames of several splits -> each text once in all of them, and what became of texts with different labels."""

import pandas as pd

from autopeft.base.errors import AutopeftError
from autopeft.tasks.builtin import Frames
from autopeft.tasks.kind import Asked
from autopeft.tasks.splits import LEAST_ROWS


def remove_duplicates(frames: Frames, asked: Asked, content: str = "text") -> tuple[Frames, list[str]]:
    """Keep each text (or pair) once: in the test split before validation before train, so that nothing leaks.

    Args:
        frames: of each split, with the columns text, label and where they apply text2.
        asked: says what becomes of texts that occur with different labels.
        content: what the rows hold, in messages.

    Returns:
        The frames, and a note per change.

    Raises:
        AutopeftError: labels contradict each other and that is refused, or too few different rows are left.
    """
    order = [part for part in ("test", "validation", "train") if part in frames]
    rows = pd.concat([frames[part].assign(part=part) for part in order], ignore_index=True)
    texts = [column for column in ("text", "text2") if column in rows]
    agreed, notes = agreeing(rows, texts, asked, content)
    kept = agreed.drop_duplicates(texts)
    if removed := len(agreed) - len(kept):
        inside = sum(int(agreed[agreed["part"] == part].duplicated(texts).sum()) for part in order)
        across = f", {removed - inside:,} of them across splits" if len(order) > 1 else ""
        of = f"{removed:,} of {len(rows):,} rows"
        notes.insert(0, f"Removed {of} whose {content} occurs more than once{across}.")
    if notes and len(kept) < LEAST_ROWS:
        raise AutopeftError(
            f"{asked.name} has too few different {content}s, {len(kept)} in {len(rows):,} rows: give at least "
            f"{LEAST_ROWS}, or name another column with --text. {' '.join(notes)}"
        )
    if not notes:
        return frames, []
    return {part: kept[kept["part"] == part].drop(columns="part").reset_index(drop=True) for part in order}, notes


def agreeing(rows: pd.DataFrame, texts: list[str], asked: Asked, content: str) -> tuple[pd.DataFrame, list[str]]:
    """The rows whose texts do not occur with different labels, or all of them, as the user wants; with a note.

    Raises AutopeftError where there are such texts and they are refused, or where nothing else is left.
    """
    if "label" not in rows:
        return rows, []
    contradictory = rows.groupby(texts, sort=False)["label"].transform("nunique") > 1
    if not contradictory.any():
        return rows, []
    found = rows[contradictory]
    number = len(found.drop_duplicates(texts))
    said = f"{number:,} {content}{'s' if number > 1 else ''} in {len(found):,} rows"
    if asked.conflicts == "first":
        return rows, [f"{number:,} {content}s occur with different labels; the first was kept."]
    ways = "keep the first label of each with --conflicts first"
    if asked.conflicts == "refuse":
        raise AutopeftError(
            f"{said} of {asked.name} occur with different labels, {shown(found, texts)} first: correct them, {ways}, or "
            "leave them out with --conflicts drop."
        )
    if contradictory.all():
        raise AutopeftError(
            f"Every {content} of {asked.name} occurs with different labels ({said}), {shown(found, texts)} first: correct "
            f"the labels, or {ways}."
        )
    return rows[~contradictory], [
        f"Left out {said} that occur with different labels (--conflicts first keeps one each)."
    ]


def shown(rows: pd.DataFrame, texts: list[str]) -> str:
    """The first text of some rows, shortened."""
    return f"'{str(rows[texts[0]].iloc[0])[:40]}'"
