"""The frozen prefix: hidden states below the lowest adapted block, computed once and read by every later run.

A row's states are stored the first time a run passes it, so a cache never costs a pass of its own; a run that freezes
more blocks fills the boundaries below for the runs to come. They lie in memory-mapped files in the user's cache folder,
one set per task, backbone and number format, and are read again by later studies; on CUDA they stay on the device.
A batch is read only when all of its rows are stored. In fp32 what is read is bit-equal to what the same batch would
compute; rows of a batch that was composed otherwise may differ in the last bits, as they do without a cache.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from autopeft.backbone.loading import Backbone
from autopeft.base.packages import cache_folder
from autopeft.tasks.batches import collate, moved
from autopeft.tasks.tokens import TokenisedTask

PARTS = ("train", "validation", "test")
DEVICE_SHARE = 0.3  # of the free device memory that cached states may take
IDENTITY_BYTES = 4096  # of each weight, to know the backbone by
TASKS_KEPT = 4  # sets of files that stay in the cache folder; the least recently used go first


class PrefixCache:
    """Stored hidden states (tokens of all rows, H) at several boundaries; boundary k is what block k - 1 returns."""

    def __init__(self, backbone: Backbone, tokenised: TokenisedTask, limit: int, folder: Path | None = None) -> None:
        """limit: bytes for all boundaries together; where they do not all fit, evenly spread ones are kept."""
        self.blocks = backbone.model.get_submodule(backbone.shapes.blocks_path)  # of two stacks the encoder's
        splits = [getattr(tokenised, part) for part in PARTS]
        rows = np.concatenate([s.lengths for s in splits])
        self.starts = np.concatenate([[0], np.cumsum(rows)])
        self.first_row = dict(zip(PARTS, np.cumsum([0] + [len(s) for s in splits])))
        weight = next(backbone.model.parameters())
        self.width, self.dtype, self.device = backbone.shapes.hidden_size, weight.dtype, weight.device
        one = int(self.starts[-1]) * self.width * weight.element_size()
        if weight.is_cuda:
            limit = min(limit, int(DEVICE_SHARE * torch.cuda.mem_get_info(weight.device)[0]))
        deepest = 0 if makes_biases(self.blocks[0]) else len(self.blocks)
        self.boundaries = spread(deepest, min(deepest, limit // max(1, one)))
        self.bytes = one * len(self.boundaries)
        self.folder = None if weight.is_cuda else folder or prepared_folder(backbone, tokenised)
        try:
            self._open(len(rows))
        except OSError:  # no room for the files: nothing is stored, everything is computed
            if self.folder:
                shutil.rmtree(self.folder, ignore_errors=True)
            self.boundaries, self.bytes, self.folder = (), 0, None
            self._open(len(rows))
        self.tuples = self._tuple_sizes(backbone, tokenised) if self.boundaries else ()
        self.read_rows = self.computed_rows = (
            0  # rows that a run with a frozen prefix took from here, or had to compute
        )

    def _open(self, rows: int) -> None:
        tokens = int(self.starts[-1]) * self.width
        self.states = {k: self._map(f"boundary-{k}", tokens, self.dtype) for k in self.boundaries}
        self.filled = self._map("filled", len(self.boundaries) * rows, torch.uint8).view(-1, rows)

    def _map(self, name: str, size: int, dtype: torch.dtype) -> torch.Tensor:
        """Zeros: device memory, or a file mapped into memory, its room on the disk reserved."""
        if self.folder is None or not size:
            return torch.zeros(size, dtype=dtype, device=self.device)
        path = self.folder / name
        if not path.is_file() or path.stat().st_size != size * dtype.itemsize:
            with open(path, "wb") as file:
                if hasattr(os, "posix_fallocate"):  # else a disk that fills up later would kill the process
                    os.posix_fallocate(file.fileno(), 0, size * dtype.itemsize)
                file.truncate(size * dtype.itemsize)
        return torch.from_file(str(path), shared=True, size=size, dtype=dtype)

    @torch.no_grad()
    def _tuple_sizes(self, backbone: Backbone, tokenised: TokenisedTask) -> tuple[int, ...]:
        """For each block, how long the tuple is that holds its hidden states, 0 for none: seen on the first unit."""
        seen: list[int] = []
        hooks = [
            b.register_forward_hook(lambda _, __, out: seen.append(len(out) if isinstance(out, tuple) else 0))
            for b in self.blocks
        ]
        inputs, _ = collate(tokenised.train, tokenised.train.expand(np.arange(1)), tokenised.pad_token_id)
        backbone.model(**moved(inputs, next(backbone.model.parameters())))
        for hook in hooks:
            hook.remove()
        return tuple(seen)

    @contextmanager
    def below(self, frozen: int) -> Iterator[Callable | None]:
        """For the length of a with block the first `frozen` blocks read and fill the cache.

        Gives a function place(part, rows, width) to be called before each forward; None when nothing is cached.
        """
        depth = max((k for k in self.boundaries if k <= frozen), default=0)
        if not depth:
            yield None
            return
        passage = Passage(self, depth)
        try:
            yield passage.place
        finally:
            passage.remove()

    def has(self, depth: int, rows: np.ndarray) -> bool:
        """Whether the states of all of these rows are stored at this boundary."""
        return bool(self.filled[self.boundaries.index(depth)][torch.as_tensor(rows)].all())

    def read(self, depth: int, rows: np.ndarray, width: int) -> torch.Tensor:
        """(B, S, H), zeros where a row is padded."""
        out = torch.zeros(len(rows), width, self.width, dtype=self.dtype, device=self.device)
        states = self.states[depth].view(-1, self.width)
        for place, row in enumerate(rows):
            begin, end = self.starts[row], self.starts[row + 1]
            out[place, : end - begin] = states[begin:end]
        return out

    def fill(self, depth: int, rows: np.ndarray, hidden: torch.Tensor) -> None:
        """Store (B, S, H) for the rows that are not stored yet; the mark comes last, so that no reader is too early."""
        filled = self.filled[self.boundaries.index(depth)]
        states = self.states[depth].view(-1, self.width)
        for place, row in enumerate(rows):
            if not filled[row]:
                begin, end = self.starts[row], self.starts[row + 1]
                states[begin:end] = hidden[place, : end - begin].detach()
                filled[row] = 1


class Passage:
    """The first `depth` blocks of a model while a run reads or fills the cache: they return stored states if there are."""

    def __init__(self, cache: PrefixCache, depth: int) -> None:
        self.cache, self.depth = cache, depth
        self.rows: np.ndarray | None = None
        self.hidden: torch.Tensor | None = None
        self.own = [vars(b).get("forward") for b in cache.blocks[:depth]]
        for number, block in enumerate(cache.blocks[:depth]):
            block.forward = self._instead(number, block.forward)

    def remove(self) -> None:
        """Give the blocks their own forward back."""
        for block, own in zip(self.cache.blocks, self.own):
            if own is None:
                vars(block).pop("forward", None)
            else:
                block.forward = own

    def place(self, part: str, rows: np.ndarray | None, width: int) -> None:
        """Say which rows of which split the next forward is of; None for rows that no split holds."""
        cache = self.cache
        if rows is None:
            self.rows = self.hidden = None
            return
        self.rows = rows + cache.first_row[part]
        stored = cache.has(self.depth, self.rows)
        self.hidden = cache.read(self.depth, self.rows, width) if stored else None
        cache.read_rows += len(rows) * stored
        cache.computed_rows += len(rows) * (not stored)

    def _instead(self, number: int, forward: Callable) -> Callable:
        def stored_or_computed(hidden_states: torch.Tensor, *arguments: Any, **keywords: Any) -> Any:
            if self.hidden is not None:
                out = self.hidden if number == 0 else hidden_states
                size = self.cache.tuples[number]
                return (out, *[None] * (size - 1)) if size else out
            out = forward(hidden_states, *arguments, **keywords)
            if self.rows is not None and number + 1 in self.cache.boundaries:
                self.cache.fill(number + 1, self.rows, out[0] if isinstance(out, tuple) else out)
            return out

        return stored_or_computed


def makes_biases(block: nn.Module) -> bool:
    """Whether the later blocks read what this one computes beside the hidden states (T5's relative positions)."""
    return any(path.endswith("relative_attention_bias") for path, _ in block.named_modules())


def spread(layers: int, number: int) -> tuple[int, ...]:
    """`number` boundaries of 1 .. layers, evenly spread, the last always among them."""
    return tuple(sorted({-(-layers * (i + 1) // number) for i in range(number)}))


def prepared_folder(backbone: Backbone, tokenised: TokenisedTask) -> Path:
    """The folder of this task and backbone; of all such folders only the last few that were used are kept."""
    folder = cache_folder() / "prefixes" / identity(backbone, tokenised)
    folder.mkdir(parents=True, exist_ok=True)
    os.utime(folder)
    others = sorted((p for p in folder.parent.iterdir() if p != folder), key=lambda p: p.stat().st_mtime, reverse=True)
    for old in others[TASKS_KEPT - 1 :]:
        shutil.rmtree(old, ignore_errors=True)
    return folder


def identity(backbone: Backbone, tokenised: TokenisedTask) -> str:
    """Twenty hexadecimal digits that change with a token, a weight, the number format, the attention or the library."""
    import transformers

    digest = hashlib.sha256(f"{torch.__version__} {transformers.__version__}".encode())
    digest.update(str(backbone.model.config._attn_implementation).encode())
    head = tuple(f"{path}." for path in backbone.shapes.head_modules)
    for name, parameter in backbone.model.named_parameters():
        if not name.startswith(head):
            start = parameter.detach().flatten()[:IDENTITY_BYTES].float().cpu().numpy()
            digest.update(f"{name} {tuple(parameter.shape)} {parameter.dtype}".encode() + start.tobytes())
    for part in PARTS:
        split = getattr(tokenised, part)
        for rows in (split.input_ids, split.token_type_ids or ()):
            digest.update(np.concatenate(rows).tobytes() if rows else b"")
        digest.update(split.lengths.tobytes())
        digest.update(b"" if split.features is None else split.features)
    return digest.hexdigest()[:20]
