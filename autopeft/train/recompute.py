"""Gradient checkpointing: what a block keeps for the backward pass is its input; the rest is computed again."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


@contextmanager
def recomputed(blocks: Iterable[nn.Module]) -> Iterator[None]:
    """For the length of a with block the forward pass of each block is repeated where its gradients are wanted.

    Not transformers' own switch: that acts in training mode only, and dropout is off here.
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


def again(forward):
    def twice(*args, **kwargs):
        if not torch.is_grad_enabled():
            return forward(*args, **kwargs)
        return checkpoint(forward, *args, use_reentrant=False, **kwargs)

    return twice
