"""Causal language modelling: plain texts, every token predicted from those before it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from autopeft.tasks.kind import Asked, Read
from autopeft.tasks.language import IGNORED, LanguageModelling, log_likelihood, split_of
from autopeft.tasks.task import Split
from autopeft.tasks.tokens import Encoding, TokenisedSplit

if TYPE_CHECKING:
    from autopeft.tasks.builtin import Frames


class CausalLM(LanguageModelling):
    """The loss is on every token of a text but the first."""

    name = "causal-lm"
    title = "language modelling"
    columns = "text"
    example = "autopeft search --model smollm2-135m --data rotten-tomatoes --task causal-lm"
    metrics = {"log-likelihood": log_likelihood}

    @override
    def read(self, frames: "Frames", asked: Asked) -> Read:
        from autopeft.tasks.cleaning import clean_texts
        from autopeft.tasks.columns import select_texts
        from autopeft.tasks.duplicates import remove_duplicates
        from autopeft.tasks.splits import cap, cap_notes, cut

        frames, notes = clean_texts(select_texts(frames, asked), asked.name)
        frames, duplicates = remove_duplicates(frames, asked)
        frames, cuts = cut(frames, asked.name, asked.seed)
        capped = {part: cap(frame, asked.rows.get(part), asked.seed) for part, frame in frames.items()}
        splits = {part: Split(tuple(frame["text"]), ("",) * len(frame)) for part, frame in capped.items()}
        return Read((), splits, (*notes, *duplicates, *cuts, *cap_notes(frames, capped)))

    @override
    def pairs(self, split: Split, tokenizer: Any) -> Iterator[tuple[str, str]]:
        yield from (("", text) for text in split.texts)

    @override
    def encode(self, split: Split, encoding: Encoding) -> TokenisedSplit:
        """A text longer than max_length becomes several rows, so that nothing is lost; each begins without context."""
        tokenizer, size = encoding.tokenizer, encoding.max_length
        rows, end = [], [tokenizer.eos_token_id] if tokenizer.eos_token_id is not None else []
        for ids in tokenizer(list(split.texts), return_attention_mask=False)["input_ids"]:
            ids = ids if ids[-1:] == end else ids + end
            pieces = (ids[start : start + size] for start in range(0, len(ids), size))
            rows += [(piece, [IGNORED, *piece[1:]]) for piece in pieces if len(piece) > 1]
        return split_of(self, rows, 0)
