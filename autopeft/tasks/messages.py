"""Frames with prompts and responses, or with chats -> Splits of chats ((role, content), ...)."""

import json
from collections.abc import Sequence

import numpy as np
import pandas as pd

from autopeft.base.errors import AutopeftError
from autopeft.tasks.builtin import Frames
from autopeft.tasks.columns import named_columns, refuse_twice
from autopeft.tasks.duplicates import remove_duplicates
from autopeft.tasks.kind import Asked, Read
from autopeft.tasks.splits import cap, cap_notes, cut
from autopeft.tasks.task import Split

_CHATS = ("messages", "conversations", "conversation", "chat")
_PROMPTS = ("prompt", "instruction", "question", "query", "input", "text")
_RESPONSES = ("response", "output", "completion", "answer", "target", "label")
_ROLES = {"human": "user", "gpt": "assistant", "model": "assistant", "bot": "assistant"}

Chat = tuple[tuple[str, str], ...]


def read_messages(frames: Frames, asked: Asked) -> Read:
    """Frames with any columns -> splits of chats whose last turn is the assistant's; the label is what it says.

    text names the prompts or the chats, text_pair a further input that follows the prompt, label the responses.
    Raises AutopeftError.
    """
    name, notes = asked.name, []
    chat, columns = _columns(named_columns(frames, asked), asked)
    chosen = {}
    for part, frame in frames.items():
        where = f"{name} ({part})" if len(frames) > 1 else name
        if frame.empty:
            raise AutopeftError(f"{where} has no rows. Give a file with prompts and responses.")
        frame = frame.rename(columns=str).reset_index(drop=True)
        texts = zip(*(frame[c] if c in frame else [None] * len(frame) for c in columns))
        read = _chat if chat else _pair
        chats = [read(row, i, where) for i, row in enumerate(texts)]
        made = pd.DataFrame({"text": pd.Series(chats, dtype=object)})
        if asked.group:
            made["group"] = frame[asked.group]
        kept = made[made["text"].notna()].reset_index(drop=True)
        if len(kept) < len(made):
            notes.append(f"Dropped {len(made) - len(kept):,} of {len(made):,} rows of {where} without a response.")
        if kept.empty:
            raise AutopeftError(f"No row of {where} has a response. Name their column with --label.")
        chosen[part] = kept
    chosen, duplicates = remove_duplicates(chosen, asked)
    chosen, cuts = cut(chosen, name, asked.seed)
    capped = {part: cap(frame, asked.rows.get(part), asked.seed) for part, frame in chosen.items()}
    splits = {p: Split(tuple(f["text"]), tuple(chat[-1][1] for chat in f["text"])) for p, f in capped.items()}
    return Read((), splits, (*notes, *duplicates, *cuts, *cap_notes(chosen, capped)))


def _columns(columns: list[str], asked: Asked) -> tuple[bool, list[str]]:
    """(whether they are chats, the columns to read: the chats', or those of system, prompt, input and response)."""
    named = {"text": asked.text, "text2": asked.text_pair, "label": asked.label, "group": asked.group}
    refuse_twice(named, asked.name)
    lower = {column.lower(): column for column in columns if column not in (asked.label, asked.text_pair)}
    prompt = asked.text or _first(_CHATS, lower) or _first(_PROMPTS, lower)
    if prompt and prompt.lower() in _CHATS:
        asked.taken.update({"chats": prompt})
        return True, [prompt]
    response = asked.label or _first(_RESPONSES, {k: v for k, v in lower.items() if v not in (prompt, asked.text_pair)})
    if not prompt or not response:
        what = "prompts" if not prompt else "responses"
        raise AutopeftError(
            f"Cannot tell which column of {asked.name} holds the {what}; it has: {', '.join(columns)}. Name it with "
            f"{'--text' if not prompt else '--label'}, or give a column 'messages' of chats."
        )
    refuse_twice({"label": response, "group": asked.group}, asked.name)
    asked.taken.update({"prompt": prompt, "response": response})
    further = asked.text_pair or (lower.get("input", "") if prompt.lower() == "instruction" else "")
    return False, [lower.get("system", ""), prompt, further, response]


def _first(candidates: Sequence[str], lower: dict[str, str]) -> str | None:
    return next((lower[candidate] for candidate in candidates if candidate in lower), None)


def _pair(row: tuple, number: int, where: str) -> Chat | None:
    """System, prompt, further input and response -> a chat; None without a response."""
    for value in row:
        if not (value is None or isinstance(value, str) or (isinstance(value, float) and np.isnan(value))):
            raise AutopeftError(
                f"Row {number + 1} of {where} holds {type(value).__name__} {str(value)[:40]} where a text belongs. "
                "Name the columns with --text and --label."
            )
    system, prompt, further, response = (v.strip() if isinstance(v, str) else "" for v in row)
    if not response or not prompt:
        return None
    asked = f"{prompt}\n\n{further}" if further else prompt
    return ((("system", system),) if system else ()) + (("user", asked), ("assistant", response))


def _chat(row: tuple, number: int, where: str) -> Chat | None:
    """A list of {role, content} (or {from, value}), or its JSON -> a chat up to the assistant's last turn."""
    turns = row[0]
    try:
        turns = json.loads(turns) if isinstance(turns, str) else turns
        made = tuple((str(t.get("role", t.get("from"))), t.get("content", t.get("value"))) for t in turns)
    except (json.JSONDecodeError, TypeError, AttributeError):
        made = ()
    made = tuple((_ROLES.get(role, role), text) for role, text in made)
    if not made or any(r not in ("system", "user", "assistant") or not isinstance(t, str) for r, t in made):
        raise AutopeftError(
            f'Row {number + 1} of {where} is no chat. Write [{{"role": "user", "content": "..."}}, {{"role": '
            '"assistant", "content": "..."}] with the roles system, user and assistant.'
        )
    while made and (made[-1][0] != "assistant" or not made[-1][1].strip()):
        made = made[:-1]
    return made or None
