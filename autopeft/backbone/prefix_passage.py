"""The blocks of a model while a run reads or fills the stored prefix: they return stored states where there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from autopeft.backbone.prefix import PrefixCache


class Passage:
    """Replaces the forward of the blocks below a boundary for the length of a run.

    Args:
        cache: what is read and filled.
        depths: the boundaries at which states may be found, the deepest first.
    """

    def __init__(self, cache: PrefixCache, depths: tuple[int, ...]) -> None:
        self.cache, self.depths = cache, depths
        self.rows: np.ndarray | None = None
        self.hidden: torch.Tensor | None = None
        self.depth = 0  # where the hidden states of this forward were found
        self.own = [vars(b).get("forward") for b in cache.blocks[: depths[0]]]
        for number, block in enumerate(cache.blocks[: depths[0]]):
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
        self.depth = next((k for k in self.depths if cache.has(k, self.rows)), 0)
        self.hidden = cache.read(self.depth, self.rows, width) if self.depth else None
        cache.read_rows += len(rows) * bool(self.depth)
        cache.computed_rows += len(rows) * (not self.depth)

    def _instead(self, number: int, forward: Callable) -> Callable:
        def stored_or_computed(hidden_states: torch.Tensor, *arguments: Any, **keywords: Any) -> Any:
            if self.hidden is not None and number < self.depth:
                out = self.hidden if number == 0 else hidden_states
                size = self.cache.tuples[number]
                return (out, *[None] * (size - 1)) if size else out
            out = forward(hidden_states, *arguments, **keywords)
            if self.rows is not None and number + 1 in self.cache.boundaries:
                self.cache.fill(number + 1, self.rows, out[0] if isinstance(out, tuple) else out)
            return out

        return stored_or_computed
