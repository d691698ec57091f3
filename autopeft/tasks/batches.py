"""Row lengths -> batches of similar length; a batch -> padded tensors. Imports torch when a batch is made."""

from typing import TYPE_CHECKING

import numpy as np

from autopeft.tasks.tokens import TokenisedSplit

if TYPE_CHECKING:
    import torch

WIDTH_STEP = 8  # widths of batches are multiples: a processor's matrix kernels are made anew for every new shape
WINDOW = 32  # batches that are sorted by length together: little padding, and the order stays random


def batches(lengths: np.ndarray, batch_size: int, generator: np.random.Generator | None = None) -> list[np.ndarray]:
    """Lengths (N,) -> arrays of row numbers, each row once.

    With a generator (training): shuffled, sorted by length inside windows of 32 batches, batches shuffled.
    Without one (evaluation): sorted by length over all rows.
    """
    if generator is None:
        return _cut(np.argsort(lengths, kind="stable"), batch_size)
    order = generator.permutation(len(lengths))
    cut = [
        batch
        for window in _cut(order, WINDOW * batch_size)
        for batch in _cut(window[np.argsort(lengths[window], kind="stable")], batch_size)
    ]
    return [cut[number] for number in generator.permutation(len(cut))]


def _cut(order: np.ndarray, size: int) -> list[np.ndarray]:
    return [order[start : start + size] for start in range(0, len(order), size)]


def collate(
    split: TokenisedSplit, indices: np.ndarray, pad_token_id: int
) -> "tuple[dict[str, torch.Tensor], torch.Tensor]":
    """B row numbers -> the model's inputs, each (B, S) int64 padded on the right, and the labels (B,).

    S is the longest row's length, rounded up to a multiple of WIDTH_STEP where the split has rows that long.
    """
    import torch

    width = min(-(-int(split.lengths[indices].max()) // WIDTH_STEP) * WIDTH_STEP, int(split.lengths.max()))
    inputs = {
        "input_ids": _pad(split.input_ids, indices, width, pad_token_id),
        "attention_mask": (np.arange(width) < split.lengths[indices, None]).astype(np.int64),
    }
    if split.token_type_ids is not None:
        inputs["token_type_ids"] = _pad(split.token_type_ids, indices, width, 0)
    return {name: torch.from_numpy(array) for name, array in inputs.items()}, torch.from_numpy(split.labels[indices])


def _pad(rows: tuple[np.ndarray, ...], indices: np.ndarray, width: int, fill: int) -> np.ndarray:
    padded = np.full((len(indices), width), fill, dtype=np.int64)
    for place, index in enumerate(indices):
        padded[place, : len(rows[index])] = rows[index]
    return padded
