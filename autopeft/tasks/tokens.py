"""Task + tokenizer -> TokenisedTask: every text becomes token ids once. Imports no torch."""

from dataclasses import dataclass

import numpy as np

from autopeft.errors import AutopeftError
from autopeft.tasks.task import Split, Task


@dataclass(frozen=True, eq=False)
class TokenisedSplit:
    """N rows of unpadded int32 token ids, their labels (N,) int64 and lengths (N,) int64."""

    input_ids: tuple[np.ndarray, ...]
    token_type_ids: tuple[np.ndarray, ...] | None
    labels: np.ndarray
    lengths: np.ndarray
    truncated: int = 0  # rows that were cut at max_length

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class TokenisedTask:
    """A task whose splits are token ids; `pad_token_id` fills a batch to its longest row."""

    train: TokenisedSplit
    validation: TokenisedSplit
    test: TokenisedSplit
    pad_token_id: int
    task: Task


def tokenise(task: Task, tokenizer, max_length: int = 128, pattern: str | None = None) -> TokenisedTask:
    """Encode the three splits; a pair is shortened at its longer text.

    A tokenizer without a padding token pads with its end token, as decoders do; attention masks the padding anyway.
    pattern: ends every text, and is never cut. Raises AutopeftError when the tokenizer can pad with nothing or the
    pattern leaves no room for the text.
    """
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    if pad is None:
        raise AutopeftError(
            "The tokenizer has neither a padding token nor an end token. Set pad_token in its tokenizer_config.json."
        )
    end = tokenizer(pattern, add_special_tokens=False)["input_ids"] if pattern else []
    if len(end) > max_length // 2:
        raise AutopeftError(
            f"The pattern '{pattern}' takes {len(end)} of {max_length} tokens: shorten it or raise --max-length."
        )
    splits = {
        part: _tokenise(getattr(task, part), tokenizer, max_length, end) for part in ("train", "validation", "test")
    }
    return TokenisedTask(**splits, pad_token_id=int(pad), task=task)


def _tokenise(split: Split, tokenizer, max_length: int, end: list[int]) -> TokenisedSplit:
    max_length -= len(end)
    pairs = bool(split.texts) and isinstance(split.texts[0], tuple)
    texts = [list(column) for column in zip(*split.texts)] if pairs else [list(split.texts)]
    encoded = tokenizer(*texts, truncation=True, max_length=max_length, padding=False, return_attention_mask=False)
    ids = _arrays([row + end for row in encoded["input_ids"]])
    types = (
        _arrays([row + row[-1:] * len(end) for row in encoded["token_type_ids"]])
        if "token_type_ids" in encoded
        else None
    )
    lengths = np.array([len(row) for row in ids], dtype=np.int64)
    return TokenisedSplit(
        ids, types, np.array(split.labels, dtype=np.int64), lengths, _truncated(encoded, lengths - len(end), max_length)
    )


def _arrays(rows: list[list[int]]) -> tuple[np.ndarray, ...]:
    return tuple(np.asarray(row, dtype=np.int32) for row in rows)


def _truncated(encoded, lengths: np.ndarray, max_length: int) -> int:
    """Rows with tokens left over; a slow tokenizer keeps none, so there every row that fills max_length counts."""
    if encoded.encodings is None:
        return int((lengths == max_length).sum())
    return sum(bool(row.overflowing) for row in encoded.encodings)
