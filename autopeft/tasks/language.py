"""Language modelling: what a decoder's own head is trained for, whatever the rows are made of.

A row's labels are its tokens where they are to be predicted and IGNORED elsewhere. Only the positions that predict a
label go through the LM head (`logits_to_keep`, of transformers), which is most of the memory of such a step.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import override

from autopeft.tasks.batches import padded, padded_inputs
from autopeft.tasks.kind import Batch, Losses, TaskKind, Values
from autopeft.tasks.task import Split, Task
from autopeft.tasks.tokens import TokenisedSplit
from autopeft.tasks.unit_metrics import from_sums, ratio

if TYPE_CHECKING:
    import torch


IGNORED = -100  # torch's cross-entropy leaves these out


class LanguageModelling(TaskKind):
    """Nothing but the method is trained: the LM head is the checkpoint's. Shapes: K predicted positions of V tokens."""

    auto_model = "AutoModelForCausalLM"
    peft_task_type = "CAUSAL_LM"
    pipeline_tag = "text-generation"
    row_level = False
    new_head = False
    decoders_only = True
    trace_basis = "lm-head"
    evaluation_rows = 32  # logits are V wide

    @override
    def outputs(self, task: Task) -> int:
        return 2  # transformers' default; an LM head has no use for it

    @override
    def collate(self, split: TokenisedSplit, rows: np.ndarray, pad_token_id: int) -> Batch:
        """The inputs with the positions to keep (K,), and the tokens that they predict (B, K).

        They are counted from the end: some methods put virtual tokens before the first.
        """
        import torch

        inputs = padded_inputs(split, rows, pad_token_id)
        width = inputs["input_ids"].shape[1]
        following = padded(split.labels, rows, width, IGNORED)[:, 1:]
        keep = np.flatnonzero((following != IGNORED).any(0))
        inputs["logits_to_keep"] = torch.from_numpy(keep - width)
        return inputs, torch.from_numpy(following[:, keep])

    def pairs(self, split: Split, tokenizer: Any) -> Iterator[tuple[str, str]]:
        """(what is given, what is learnt) of each response as texts: for whoever trains without autopeft.

        Without the tokens that the tokenizer itself puts before a text and that end it.
        """
        raise NotImplementedError

    @override
    def losses(self, logits: "torch.Tensor", targets: "torch.Tensor") -> Losses:
        """Mean negative log-likelihood of each row's labels (B,), weighted by how many they are."""
        sums, counts = self.log_likelihoods(logits, targets)
        return -sums / counts, counts

    @override
    def weight(self, split: TokenisedSplit, rows: np.ndarray) -> float:
        return float(sum((split.labels[row][1:] != IGNORED).sum() for row in rows))

    def log_likelihoods(self, logits: "torch.Tensor", targets: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor]":
        """Logits (B, K, V), tokens (B, K) -> their summed log-likelihood (B,) and their number (B,)."""
        from torch.nn.functional import cross_entropy

        losses = cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="none")
        return -losses.view(targets.shape).sum(1), (targets != IGNORED).sum(1).float()

    @override
    def predictions(self, logits: "torch.Tensor", targets: "torch.Tensor") -> list:
        """(log-likelihood, tokens) of each row."""
        sums, counts = self.log_likelihoods(logits, targets)
        return list(zip(sums.tolist(), counts.tolist()))

    @override
    def references(self, split: TokenisedSplit, units: np.ndarray) -> Values:
        return [split.references[i] for i in units] if split.references else [None] * len(units)

    @override
    def strata(self, split: TokenisedSplit) -> np.ndarray:
        return np.zeros(len(split), dtype=np.int64)


@from_sums(ratio)
def log_likelihood(references: Values, predictions: Values) -> np.ndarray:
    """(log-likelihood, tokens) of each row -> its mean per token; exp(-it) is the perplexity."""
    return np.array(predictions, dtype=float)


def ends(tokenizer: Any) -> tuple[str, str]:
    """The texts of the token that the tokenizer puts before a text (it may be none), and of the one that ends it."""
    begins = bool(tokenizer.bos_token) and tokenizer("")["input_ids"][:1] == [tokenizer.bos_token_id]
    return tokenizer.bos_token if begins else "", tokenizer.eos_token or ""


def window(
    context: list[int], target: list[int], max_length: int, longest: int | None = None
) -> tuple[list[int], list[int]]:
    """Context and target tokens -> what fits into max_length: (context, target).

    The context loses its beginning, the target its end, and the target gets at least half of the room. longest: of
    several targets that are to see the same context.
    """
    room = max(max_length // 2, max_length - len(context))
    kept = min(len(target) if longest is None else longest, room)
    return context[max(0, len(context) - (max_length - kept)) :], target[:room]


def split_of(kind: TaskKind, rows: list[tuple[list[int], list[int]]], truncated: int, **other: Any) -> TokenisedSplit:
    """(tokens, labels) of each row -> TokenisedSplit."""
    ids, labels = (tuple(np.asarray(row, dtype=np.int32) for row in column) for column in zip(*rows))
    lengths = np.array([len(row) for row in ids], dtype=np.int64)
    return TokenisedSplit(ids, None, labels, lengths, truncated, kind, **other)
