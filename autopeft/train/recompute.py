"""Gradient checkpointing: a block keeps only its input for the backward pass and computes the rest again."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers import Cache


@contextmanager
def recomputed(blocks: Iterable[nn.Module]) -> Iterator[None]:
    """Repeat the forward pass of each block where its gradients are wanted, for the length of a with block.

    transformers' own switch acts in training mode only, and dropout is off here.

    Args:
        blocks: Whose forward passes are repeated.
    """
    own = {block: vars(block).get("forward") for block in blocks}
    for block in own:
        block.forward = again(block.forward)
    try:
        yield
    finally:
        for block, forward in own.items():
            if forward is None:
                del block.forward
            else:
                block.forward = forward


def again(forward: Callable[..., Any]) -> Callable[..., Any]:
    """A forward pass that is repeated in the backward pass."""

    def twice(*args: Any, **kwargs: Any) -> Any:
        if not torch.is_grad_enabled():
            return forward(*args, **kwargs)
        return checkpoint(forward, *args, use_reentrant=False, **without_cache(kwargs))

    return twice


def without_cache(kwargs: dict[str, Any]) -> dict[str, Any]:
    """A decoder block's arguments without an empty cache, to which a second pass would add keys and values again."""
    empty = {k: None for k, v in kwargs.items() if isinstance(v, Cache) and not v.get_seq_length()}
    off = {"use_cache": False} if empty and "use_cache" in kwargs else {}
    return {**kwargs, **empty, **off}
