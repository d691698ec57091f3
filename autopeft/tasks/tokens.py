"""Task + tokenizer -> TokenisedTask: every text becomes token ids once."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from autopeft.base.errors import AutopeftError
from autopeft.tasks.kind import TaskKind, get_kind
from autopeft.tasks.task import Split, Task
from autopeft.tasks.token_checks import token_notes

PARTS = ("train", "validation", "test")
Places = list[tuple[int, int, int] | None]  # of a row's tokens: which text, begin, end


@dataclass(frozen=True)
class Encoding:
    """How the texts of a task become tokens."""

    tokenizer: Any  # transformers' own; for other modalities than text a Reader
    max_length: int  # tokens of a row, at most
    end: tuple[int, ...]  # the pattern's tokens, which follow every text and are never cut
    task: Task


@dataclass(frozen=True, eq=False)
class TokenisedSplit:
    """N rows of unpadded int32 token ids, their labels (N,) (or what the kind's collate reads) and lengths (N,) int64."""

    input_ids: tuple[np.ndarray, ...]
    token_type_ids: tuple[np.ndarray, ...] | None
    labels: np.ndarray | tuple
    lengths: np.ndarray
    truncated: int = 0  # rows that were cut at max_length
    kind: TaskKind = field(default_factory=get_kind)
    groups: np.ndarray | None = None  # (N,) 0, 0, 1, 1, 1 ...: the unit of each row, where a unit has several
    references: tuple = ()  # per unit, where predictions are compared with something else than labels
    legend: tuple = ()  # what the kind's decode reads predictions with
    features: np.ndarray | None = None  # (N, ...) fp32: rows of other modalities, which have no input_ids

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def number_of_units(self) -> int:
        """U: the rows, or where several rows are scored together the groups of them."""
        return len(self) if self.groups is None else int(self.groups[-1]) + 1

    @property
    def unit_of_rows(self) -> np.ndarray:
        """The unit of each row, (N,), ascending."""
        return np.arange(len(self)) if self.groups is None else self.groups

    def units(self, rows: np.ndarray) -> np.ndarray:
        """Row numbers -> their units, each once, in the order of the rows."""
        return (
            rows if self.groups is None else np.array(list(dict.fromkeys(self.groups[rows].tolist())), dtype=np.int64)
        )

    def expand(self, units: np.ndarray) -> np.ndarray:
        """Units -> the numbers of all of their rows."""
        if self.groups is None:
            return units
        return np.concatenate([np.arange(*np.searchsorted(self.groups, (unit, unit + 1))) for unit in units])

    def unit_lengths(self, units: np.ndarray) -> np.ndarray:
        """The longest row of each unit."""
        return np.array([self.lengths[self.expand(units[i : i + 1])].max() for i in range(len(units))])


@dataclass(frozen=True, eq=False)
class TokenisedTask:
    """A task whose splits are token ids; `pad_token_id` fills a batch to its longest row."""

    train: TokenisedSplit
    validation: TokenisedSplit
    test: TokenisedSplit
    pad_token_id: int
    task: Task
    tokenizer: Any = None  # for metrics of generated texts
    notes: tuple[str, ...] = ()  # what the tokenizer did not know, and what was cut, a sentence each

    @property
    def kind(self) -> TaskKind:
        """The kind of the task."""
        return self.task.kind


def tokenise(task: Task, tokenizer: Any, max_length: int = 128, pattern: str | None = None) -> TokenisedTask:
    """Encode the three splits; a pair is shortened at its longer text.

    A tokenizer without a padding token pads with its end token, as decoders do; attention masks the padding anyway.

    Args:
        task: the splits and their kind, which says how a row is encoded.
        tokenizer: transformers' own, as `Backbone.tokenizer`; for other modalities than text a Reader.
        max_length: tokens of a row, at most.
        pattern: ends every text, and is never cut.

    Raises:
        AutopeftError: the tokenizer can pad with nothing, or the pattern leaves no room for the text.
    """
    kind = task.kind
    if kind.modality != "text":
        encoding = Encoding(tokenizer, max_length, (), task)
        train, validation, test = (kind.encode(getattr(task, part), encoding) for part in PARTS)
        return TokenisedTask(train, validation, test, pad_token_id=0, task=task)
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
    encoding = Encoding(tokenizer, max_length, tuple(end), task)
    train, validation, test = (kind.encode(getattr(task, part), encoding) for part in PARTS)
    made = TokenisedTask(train, validation, test, pad_token_id=int(pad), task=task, tokenizer=tokenizer)
    return replace(made, notes=tuple(token_notes(made, max_length)))


def encode_texts(split: Split, encoding: Encoding, labels: np.ndarray, kind: TaskKind) -> TokenisedSplit:
    """One text or a pair per row -> token ids, with the labels (N,) as they are."""
    return _encode(split, encoding, labels, kind)[0]


def encode_with_places(
    split: Split, encoding: Encoding, kind: TaskKind, overlap: int | None = None
) -> tuple[TokenisedSplit, list[Places]]:
    """Encode as `encode_texts` does, without labels, and say where in the texts each token stands.

    Args:
        split: one text or a pair per row.
        encoding: how texts become tokens.
        kind: of the task.
        overlap: None cuts what is too long. A number continues the second text of a pair in further rows, each of
            which repeats so many tokens of the row before; the rows of a pair are a group. The first text must leave
            them room.

    Returns:
        The rows, and for each token of each row (which text, begin, end), or None for one that the tokenizer added.

    Raises:
        AutopeftError: the tokenizer does not know where its tokens stand.
    """
    if not encoding.tokenizer.is_fast:
        raise AutopeftError(
            f"The tokenizer {type(encoding.tokenizer).__name__} does not say where its tokens stand in a text, which "
            f"{kind.title} needs: choose a model with a tokenizer.json."
        )
    windows: dict[str, Any] = {"truncation": "only_second", "stride": overlap, "return_overflowing_tokens": True}
    options = {"return_offsets_mapping": True, **(windows if overlap is not None else {})}
    encoded_split, encoded = _encode(split, encoding, np.zeros(0), kind, **options)
    if overlap is not None:
        encoded_split = replace(encoded_split, truncated=0, groups=np.array(encoded["overflow_to_sample_mapping"]))
    places: list[Places] = []
    for row, offsets in enumerate(encoded["offset_mapping"]):
        texts = encoded.sequence_ids(row)
        places.append([None if text is None else (text, *at) for text, at in zip(texts, offsets)])
    return encoded_split, places


def _encode(
    split: Split, encoding: Encoding, labels: np.ndarray, kind: TaskKind, **given: Any
) -> tuple[TokenisedSplit, Any]:
    """The rows, and what the tokenizer returned."""
    tokenizer, end = encoding.tokenizer, list(encoding.end)
    max_length = encoding.max_length - len(end)
    pairs = bool(split.texts) and isinstance(split.texts[0], tuple)
    texts = [list(column) for column in zip(*split.texts)] if pairs else [list(split.texts)]
    options = {"truncation": True, "padding": False, "return_attention_mask": False, **given}
    encoded = tokenizer(*texts, max_length=max_length, **options)
    ids = _arrays([row + end for row in encoded["input_ids"]])
    types = (
        _arrays([row + row[-1:] * len(end) for row in encoded["token_type_ids"]])
        if "token_type_ids" in encoded
        else None
    )
    lengths = np.array([len(row) for row in ids], dtype=np.int64)
    truncated = _truncated(encoded, lengths - len(end), max_length)
    return TokenisedSplit(ids, types, labels, lengths, truncated, kind), encoded


def _arrays(rows: list[list[int]]) -> tuple[np.ndarray, ...]:
    return tuple(np.asarray(row, dtype=np.int32) for row in rows)


def _truncated(encoded: Any, lengths: np.ndarray, max_length: int) -> int:
    """Rows with tokens left over; a slow tokenizer keeps none, so there every row that fills max_length counts."""
    if encoded.encodings is None:
        return int((lengths == max_length).sum())
    return sum(bool(row.overflowing) for row in encoded.encodings)
