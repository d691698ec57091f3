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
        given, named = without_cache(args, kwargs)
        return checkpoint(forward, *given, use_reentrant=False, **named)

    return twice


def is_empty_cache(value: Any) -> bool:
    """Whether a block's argument is a decoder's cache with nothing in it: a second pass would fill it again."""
    return isinstance(value, Cache) and not value.get_seq_length()


def without_cache(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """A block's arguments without an empty cache."""
    if not any(map(is_empty_cache, (*args, *kwargs.values()))):
        return list(args), kwargs
    named = {k: None if is_empty_cache(v) else v for k, v in kwargs.items()}
    return [None if is_empty_cache(v) else v for v in args], named | (
        {"use_cache": False} if "use_cache" in kwargs else {}
    )
