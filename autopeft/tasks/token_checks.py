"""TokenisedTask -> what a tokenizer made of the texts, in sentences; what it cannot read is refused."""

from typing import TYPE_CHECKING, Any

import numpy as np

from autopeft.base.errors import AutopeftError

if TYPE_CHECKING:
    from autopeft.tasks.tokens import TokenisedSplit, TokenisedTask

MOST_UNKNOWN = 0.5  # share of the tokens above which a model reads too little of the texts to learn from them
SAID_UNKNOWN = 0.02
MOST_EMPTY = 0.5  # share of the rows


def token_notes(tokenised: "TokenisedTask", max_length: int) -> list[str]:
    """A sentence each on unknown tokens, rows without a token and rows that were cut, where there are any.

    Args:
        tokenised: a task of texts; of other modalities there is nothing to say.
        max_length: at which rows were cut.
    """
    if tokenised.tokenizer is None:
        return []
    unknown, empty, rows = measured(tokenised)
    cut = sum(split.truncated for split in splits_of(tokenised))
    return [
        *([f"{100 * unknown:.1f} % of the tokens are unknown to the tokenizer."] if unknown >= SAID_UNKNOWN else []),
        *([f"{empty:,} of {rows:,} rows are empty once tokenised."] if empty else []),
        *([cut_note(cut, rows, max_length)] if cut else []),
    ]


def check_tokens(tokenised: "TokenisedTask") -> None:
    """Refuse a study of texts that its tokenizer does not read.

    Args:
        tokenised: the task.

    Raises:
        AutopeftError: most tokens are unknown to the tokenizer, or most rows have none.
    """
    if tokenised.tokenizer is None:
        return
    unknown, empty, rows = measured(tokenised)
    if unknown > MOST_UNKNOWN:
        raise AutopeftError(
            f"The tokenizer knows {100 * (1 - unknown):.0f} % of the tokens of {tokenised.task.name}, so the model would read "
            "next to nothing: give a model folder with the tokenizer that it was trained with, or one for this language."
        )
    if empty > MOST_EMPTY * rows:
        raise AutopeftError(
            f"{empty:,} of {rows:,} rows of {tokenised.task.name} are empty once tokenised: name another column with --text."
        )


def measured(tokenised: "TokenisedTask") -> tuple[float, int, int]:
    """The share of unknown tokens, the rows without any token, and all rows."""
    rows = [row for split in splits_of(tokenised) for row in split.input_ids]
    return unknown_share(rows, tokenised.tokenizer), empty_rows(rows, tokenised.tokenizer), len(rows)


def splits_of(tokenised: "TokenisedTask") -> "tuple[TokenisedSplit, ...]":
    """Its three splits."""
    return tokenised.train, tokenised.validation, tokenised.test


def cut_note(cut: int, rows: int, max_length: int) -> str:
    """How many rows were too long."""
    share = f" ({100 * cut / rows:.0f} %)" if cut < rows else ""
    return f"{cut:,} of {rows:,} rows{share} are longer than {max_length} tokens and were cut (--max-length)."


def unknown_share(rows: list[np.ndarray], tokenizer: Any) -> float:
    """The share of unknown tokens among all that are not special; 0 for a tokenizer that knows everything."""
    if tokenizer.unk_token_id is None or tokenizer.unk_token_id == tokenizer.eos_token_id:
        return 0.0
    ids = np.concatenate([np.zeros(0, dtype=np.int32), *rows])
    special = np.array([x for x in tokenizer.all_special_ids if x != tokenizer.unk_token_id])
    read = ids[~np.isin(ids, special)]
    return float((read == tokenizer.unk_token_id).mean()) if len(read) else 0.0


def empty_rows(rows: list[np.ndarray], tokenizer: Any) -> int:
    """How many rows hold special tokens only."""
    special = np.array([x for x in tokenizer.all_special_ids if x != tokenizer.unk_token_id])
    return sum(bool(np.isin(row, special).all()) for row in rows)


def check_room(tokenised: "TokenisedTask", positions: int | None, vocabulary: int | None, name: str) -> None:
    """Refuse rows that the model has no room for.

    Args:
        tokenised: the task.
        positions: of the model, in tokens; None for any number.
        vocabulary: the number of its token ids, None if it is not known.
        name: of the model.

    Raises:
        AutopeftError: a row has more tokens than the model has positions, or a token that it lacks.
    """
    splits = splits_of(tokenised)
    longest = max((int(split.lengths.max()) for split in splits if len(split)), default=0)
    if positions is not None and longest > positions:
        raise AutopeftError(
            f"A row of {tokenised.task.name} has {longest} tokens, and {name} has {positions} positions: cut the rows with "
            f"--max-length {positions}."
        )
    ids = max((int(row.max()) for split in splits for row in split.input_ids if len(row)), default=0)
    if vocabulary is not None and ids >= vocabulary:
        raise AutopeftError(
            f"The tokenizer of {name} makes token {ids:,}, and the model has {vocabulary:,}: give a folder whose tokenizer "
            "and model belong together."
        )
