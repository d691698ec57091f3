"""Row lengths -> batches of similar length; a batch -> padded tensors."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from autopeft.tasks.tokens import TokenisedSplit

if TYPE_CHECKING:
    import torch

WIDTH_STEP = 8  # widths of batches are multiples: a processor's matrix kernels are made anew for every new shape
WINDOW = 32  # batches that are sorted by length together: little padding, and the order stays random


def batches(lengths: np.ndarray, batch_size: int, generator: np.random.Generator | None = None) -> list[np.ndarray]:
    """Cut rows into batches of similar length.

    Args:
        lengths: of the rows, in tokens, (N,).
        batch_size: rows of a batch; the last may have fewer.
        generator: for training: rows are shuffled, sorted by length inside windows of 32 batches, and the batches
            shuffled. None, for evaluation, sorts all rows by length.

    Returns:
        Arrays of row numbers, each row once.
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


def unit_batches(
    split: TokenisedSplit,
    batch_size: int,
    generator: np.random.Generator | None = None,
    rows: np.ndarray | None = None,
) -> list[np.ndarray]:
    """Rows (None: all) -> batches of row numbers as in `batches`; the rows of a unit come in one batch, side by side."""
    rows = np.arange(len(split)) if rows is None else rows
    units = split.units(rows)
    lengths = split.lengths[rows] if split.groups is None else split.unit_lengths(units)
    return [split.expand(units[places]) for places in batches(lengths, batch_size, generator)]


def endless(split: TokenisedSplit, batch_size: int, seed: int, rows: np.ndarray | None = None) -> Iterator[np.ndarray]:
    """Row numbers of length-bucketed batches, epoch after epoch, in an order that the seed alone decides.

    rows: those to take (None: all).
    """
    generator = np.random.default_rng(seed)
    while True:
        yield from unit_batches(split, batch_size, generator, rows)


def collate(
    split: TokenisedSplit, indices: np.ndarray, pad_token_id: int
) -> "tuple[dict[str, torch.Tensor], torch.Tensor]":
    """B row numbers -> the model's inputs, each (B, S) int64 padded on the right, and the kind's targets."""
    return split.kind.collate(split, indices, pad_token_id)


def padded_inputs(split: TokenisedSplit, indices: np.ndarray, pad_token_id: int) -> "dict[str, torch.Tensor]":
    """B row numbers -> input_ids, attention_mask and where the split has them token_type_ids, each (B, S)."""
    import torch

    width = width_of(split, indices)
    inputs = {
        "input_ids": padded(split.input_ids, indices, width, pad_token_id),
        "attention_mask": (np.arange(width) < split.lengths[indices, None]).astype(np.int64),
    }
    if split.token_type_ids is not None:
        inputs["token_type_ids"] = padded(split.token_type_ids, indices, width, 0)
    return {name: torch.from_numpy(array) for name, array in inputs.items()}


def moved(inputs: "dict[str, torch.Tensor]", parameter: "torch.Tensor") -> "dict[str, torch.Tensor]":
    """Inputs on the device of a model's parameter; pixels and the like in its number format too."""
    return {
        name: value.to(parameter.device, parameter.dtype if value.is_floating_point() else None)
        for name, value in inputs.items()
    }


def width_of(split: TokenisedSplit, indices: np.ndarray) -> int:
    """The longest row's length, rounded up to a multiple of WIDTH_STEP where the split has rows that long."""
    return min(-(-int(split.lengths[indices].max()) // WIDTH_STEP) * WIDTH_STEP, int(split.lengths.max()))


def padded(rows: tuple[np.ndarray, ...] | np.ndarray, indices: np.ndarray, width: int, fill: int) -> np.ndarray:
    """Rows of integers -> (B, S) int64, filled on the right."""
    out = np.full((len(indices), width), fill, dtype=np.int64)
    for place, index in enumerate(indices):
        out[place, : len(rows[index])] = rows[index]
    return out
