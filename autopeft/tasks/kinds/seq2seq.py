"""Sequence to sequence: an encoder reads the prompt, its decoder writes the response; the loss is on the response."""

from typing import TYPE_CHECKING

import numpy as np
from typing_extensions import override

from autopeft.tasks.batches import padded, padded_inputs
from autopeft.tasks.kind import Asked, Batch, Read
from autopeft.tasks.language import IGNORED, LanguageModelling, log_likelihood
from autopeft.tasks.metrics import exact_match, rouge_l
from autopeft.tasks.task import Split
from autopeft.tasks.tokens import Encoding, TokenisedSplit

if TYPE_CHECKING:
    from autopeft.tasks.builtin import Frames


class Seq2Seq(LanguageModelling):
    """An encoder reads the prompt, a decoder learns the response (T tokens)."""

    name = "seq2seq"
    title = "sequence-to-sequence learning"
    columns = "prompt and response (or text and summary, source and target)"
    example = "autopeft search --model ./t5-small --data openbookqa-answers --task seq2seq"
    auto_model = "AutoModelForSeq2SeqLM"
    peft_task_type = "SEQ_2_SEQ_LM"
    pipeline_tag = "text2text-generation"
    metrics = {"log-likelihood": log_likelihood, "rouge-l": rouge_l, "exact-match": exact_match}
    decoders_only = False
    two_stacks = True

    @override
    def read(self, frames: "Frames", asked: Asked) -> Read:
        from autopeft.tasks.messages import read_messages

        return read_messages(frames, asked)

    @override
    def encode(self, split: Split, encoding: Encoding) -> TokenisedSplit:
        """Prompts with the tokens that a tokenizer puts around a text, responses with the one that ends them."""
        tokenizer, size = encoding.tokenizer, encoding.max_length
        prompts = ["\n".join(content for _, content in chat[:-1]) for chat in split.texts]
        given = tokenizer(prompts, return_attention_mask=False)["input_ids"]
        said = tokenizer(text_target=list(split.labels), return_attention_mask=False)["input_ids"]
        truncated = sum(len(ids) > size for ids in given)
        given = tokenizer(prompts, truncation=True, max_length=size, return_attention_mask=False)["input_ids"]
        ids = tuple(np.asarray(row, dtype=np.int32) for row in given)
        labels = tuple(np.asarray(ended(row, tokenizer.eos_token_id)[:size], dtype=np.int32) for row in said)
        lengths = np.array([len(row) for row in ids], dtype=np.int64)
        return TokenisedSplit(ids, None, labels, lengths, truncated, self, references=split.labels)

    @override
    def collate(self, split: TokenisedSplit, rows: np.ndarray, pad_token_id: int) -> Batch:
        """The encoder's inputs with the labels (B, T), of which the model makes the decoder's."""
        import torch

        width = max(len(split.labels[row]) for row in rows)
        labels = torch.from_numpy(padded(split.labels, rows, width, IGNORED))
        return {**padded_inputs(split, rows, pad_token_id), "labels": labels}, labels

    @override
    def weight(self, split: TokenisedSplit, rows: np.ndarray) -> float:
        return float(sum(len(split.labels[row]) for row in rows))

    @override
    def generates(self, metric: str) -> bool:
        return metric in ("exact-match", "rouge-l") or ":" in metric

    @override
    def prompts(self, split: TokenisedSplit, units: np.ndarray) -> list[np.ndarray]:
        return [split.input_ids[i] for i in units]


def ended(ids: list[int], end: int | None) -> list[int]:
    """Tokens with the one that ends a text."""
    return ids if end is None or ids[-1:] == [end] else [*ids, end]
