"""A backbone and a tokenised task small enough to score in milliseconds."""

from types import SimpleNamespace

import numpy as np
from tiny import LABELS, PAD, VOCABULARY, tiny_model

from autopeft.backbone.blocks import describe
from autopeft.tasks.kind import get_kind
from autopeft.tasks.tokens import TokenisedSplit, TokenisedTask


def tiny_backbone(model_type: str):
    """A tiny random classifier with its sizes."""
    model = tiny_model(model_type)
    return SimpleNamespace(model=model, shapes=describe(model, f"tiny {model_type}"), tokenizer=None)


def random_rows(count: int = 60, labels: int = LABELS, seed: int = 0) -> TokenisedTask:
    """Rows of 4 to 12 random tokens whose second token tells the label."""
    generator = np.random.default_rng(seed)
    y = np.arange(count) % labels
    lengths = generator.integers(4, 13, count)
    ids = [generator.integers(10, VOCABULARY, n).astype(np.int32) for n in lengths]
    for row, label in zip(ids, y):
        row[1] = 4 + label
    split = TokenisedSplit(tuple(ids), None, y.astype(np.int64), lengths.astype(np.int64))
    task = SimpleNamespace(label_names=tuple("abcdefg"[:labels]), metric="accuracy", kind=get_kind())
    return TokenisedTask(split, split, split, PAD, task)
