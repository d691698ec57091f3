"""Sequence to sequence: an encoder reads the prompt, its decoder writes the response; the loss is on the response."""

import numpy as np

from autopeft.tasks.kind import Asked, Read
from autopeft.tasks.language import IGNORED, LanguageModelling, log_likelihood
from autopeft.tasks.metrics import exact_match, rouge_l


class Seq2Seq(LanguageModelling):
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

    def read(self, frames, asked: Asked) -> Read:
        from autopeft.tasks.messages import read_messages

        return read_messages(frames, asked)

    def encode(self, split, encoding):
        """Prompts with the tokens that a tokenizer puts around a text, responses with the one that ends them."""
        from autopeft.tasks.tokens import TokenisedSplit

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

    def collate(self, split, rows, pad_token_id):
        """The encoder's inputs with the labels (B, T), of which the model makes the decoder's."""
        import torch

        from autopeft.tasks.batches import padded, padded_inputs

        width = max(len(split.labels[row]) for row in rows)
        labels = torch.from_numpy(padded(split.labels, rows, width, IGNORED))
        return {**padded_inputs(split, rows, pad_token_id), "labels": labels}, labels

    def weight(self, split, rows):
        return float(sum(len(split.labels[row]) for row in rows))

    def generates(self, metric):
        return metric in ("exact-match", "rouge-l") or ":" in metric

    def prompts(self, split, units):
        return [split.input_ids[i] for i in units]


def ended(ids: list[int], end: int | None) -> list[int]:
    """Tokens with the one that ends a text."""
    return ids if end is None or ids[-1:] == [end] else [*ids, end]
