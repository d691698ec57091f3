"""Blocks of an attached model -> blocks that run on a share of each row's tokens; the others pass by unchanged.

The informative tokens of LeMo, Wang et al. 2025, arXiv 2501.09767: a token is worth the attention that the token the
head reads (the first of an encoder, the last of a decoder) paid to it in the block before. A block gathers the tokens
that are kept, runs, and scatters them back. Shapes: B rows, S tokens, K kept, N heads, D head size, H width.
"""

from __future__ import annotations

import copy
import inspect
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from autopeft.backbone.shapes import BackboneShapes
from autopeft.procedures.mechanisms.innermost import innermost, module_at

if TYPE_CHECKING:
    from peft import PeftModel
    from torch import nn
    from transformers import PreTrainedConfig


ATTENTION = "autopeft_received"  # our name among transformers' attention functions


@contextmanager
def eliminated(model: PeftModel, shapes: BackboneShapes, layers: tuple[int, ...], keep: float) -> Iterator[Tokens]:
    """Run blocks on a share of each row's tokens for the length of a with block.

    Args:
        model: the attached model.
        shapes: the backbone's sizes.
        layers: the blocks, none of them the first.
        keep: the share of the tokens, 0 to 1.

    Yields:
        What is known of the rows at hand.
    """
    tokens = Tokens(keep, last=shapes.is_decoder)
    blocks = model.get_base_model().get_submodule(shapes.blocks_path)
    watched = [module_at(model, shapes.attention_paths[layer - 1]) for layer in layers]
    configs = [attention.config for attention in watched]
    begin = model.get_base_model().register_forward_pre_hook(tokens.begin, with_kwargs=True)
    try:
        for attention in watched:
            attention.config = watching(attention.config, tokens)
        for layer in layers:
            blocks[layer].forward = shortened(blocks[layer], tokens)
        yield tokens
    finally:
        begin.remove()
        for attention, config in zip(watched, configs):
            attention.config = config
        for layer in layers:
            vars(blocks[layer]).pop("forward", None)


class Tokens:
    """Scores the tokens of the current rows and chooses those to keep."""

    def __init__(self, keep: float, last: bool) -> None:
        self.keep, self.last = keep, last
        self.mask: torch.Tensor | None = None  # (B, S) bool: not padding
        self.scores: torch.Tensor | None = None  # (B, S): attention received
        self.places: torch.Tensor | None = None  # (B, K) ascending, while a block runs on fewer tokens

    def begin(self, _: nn.Module, args: Any, kwargs: Any) -> None:
        """A forward pass begins: forget the rows before."""
        given = kwargs.get("attention_mask")
        self.mask, self.scores, self.places = None if given is None else given.bool(), None, None

    def real(self, states: torch.Tensor) -> torch.Tensor:
        """(B, S) bool, all true where the model was given no mask."""
        if self.mask is None:
            self.mask = torch.ones(states.shape[:2], dtype=torch.bool, device=states.device)
        return self.mask

    def see(self, query: torch.Tensor, key: torch.Tensor, scaling: float) -> None:
        """Score the tokens by the attention that the token the head reads pays to them.

        Args:
            query: (B, N, S, D).
            key: (B, kv heads, S, D).
            scaling: of their product.
        """
        query, key = query.detach(), key.detach().repeat_interleave(query.shape[1] // key.shape[1], dim=1)
        mask = self.mask
        if mask is None:
            mask = torch.ones(query.shape[0], query.shape[2], dtype=torch.bool, device=query.device)
        if self.places is not None:
            mask = mask.gather(1, self.places)
        reader = (mask.sum(1) - 1 if self.last else torch.zeros_like(mask.sum(1)))[:, None, None, None]
        asking = query.gather(2, reader.expand(-1, query.shape[1], 1, query.shape[3]))  # (B, N, 1, D)
        paid = (asking @ key.transpose(2, 3) * scaling).float()[:, :, 0].masked_fill(~mask[:, None], -math.inf)
        received = paid.softmax(-1).mean(1)
        if self.places is not None and self.scores is not None:  # what a block passed by keeps the score it had
            received = self.scores.scatter(1, self.places, received)
        self.scores = received

    def choose(self, states: torch.Tensor) -> torch.Tensor | None:
        """(B, K) ascending places of the tokens kept, None where every token is.

        Each row keeps its own share, whatever rows it lies beside; shorter ones are filled up with their padding.
        """
        real = self.real(states)
        if self.scores is None:
            return None
        lengths = real.sum(1, keepdim=True)
        wanted = (lengths * self.keep).ceil().long().clamp(min=2)
        number = int(wanted.max())
        if number >= states.shape[1]:
            return None
        position = torch.arange(states.shape[1], device=states.device)
        ends = (position == 0) | (position == lengths - 1)
        worth = self.scores.masked_fill(ends, math.inf).masked_fill(~real, -math.inf)
        rank = worth.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
        tier = torch.where(real, (rank < wanted) * 2, 1)  # kept, padding, dropped
        return tier.argsort(dim=1, descending=True, stable=True)[:, :number].sort(dim=1).values


def shortened(block: nn.Module, tokens: Tokens) -> Callable[..., Any]:
    """A block's forward: gather, run, scatter."""
    forward, signature = block.forward, inspect.signature(type(innermost(block)).forward)
    names = list(signature.parameters)[1:]

    def instead(hidden_states: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        places = tokens.choose(hidden_states)
        if places is None:
            return forward(hidden_states, *args, **kwargs)
        given = {**dict(zip(names[1:], args)), **kwargs}
        given = {name: GATHER[name](value, places) if name in GATHER else value for name, value in given.items()}
        index = places[..., None].expand(-1, -1, hidden_states.shape[-1])
        tokens.places = places
        try:
            out = forward(hidden_states.gather(1, index), **given)
        finally:
            tokens.places = None
        states = out[0] if isinstance(out, tuple) else out
        whole = hidden_states.to(states.dtype).scatter(1, index, states)
        return (whole, *out[1:]) if isinstance(out, tuple) else whole

    return instead


def gather_mask(mask: torch.Tensor | None, places: torch.Tensor) -> torch.Tensor | None:
    """(B or 1, 1, S or 1, S) -> (B, 1, K or 1, K)."""
    if mask is None:
        return None
    mask = mask.expand(len(places), -1, -1, -1)
    rows = mask
    if mask.shape[2] > 1:  # else one row for every query
        rows = mask.gather(2, places[:, None, :, None].expand(-1, mask.shape[1], -1, mask.shape[3]))
    return rows.gather(3, places[:, None, None, :].expand(-1, mask.shape[1], rows.shape[2], -1))


def gather_positions(positions: Any, places: torch.Tensor) -> Any:
    """Position ids (B or 1, S) -> (B, K); the cosines and sines of rotary positions (B or 1, S, D) -> (B, K, D)."""
    if positions is None:
        return None
    if isinstance(positions, tuple):
        return tuple(gather_positions(p, places) for p in positions)
    positions = positions.expand(len(places), *positions.shape[1:])
    if positions.ndim == 2:
        return positions.gather(1, places)
    return positions.gather(1, places[..., None].expand(-1, -1, positions.shape[2]))


GATHER = {
    "attention_mask": gather_mask,
    "position_ids": gather_positions,
    "position_embeddings": gather_positions,
}


def watching(config: PreTrainedConfig, tokens: Tokens) -> PreTrainedConfig:
    """A shallow copy of a config that dispatches to our attention function, which looks on and passes it on."""
    own = copy.copy(config)
    own.received, own.received_delegate = tokens, config._attn_implementation
    own._attn_implementation_internal = ATTENTION
    return own


def received_attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **kwargs: Any,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The attention of the copied config's own implementation, seen by its `Tokens`."""
    scaling = kwargs.get("scaling")
    module.config.received.see(query, key, query.shape[-1] ** -0.5 if scaling is None else scaling)
    eager = sys.modules[type(module).__module__].eager_attention_forward
    delegate = ALL_ATTENTION_FUNCTIONS.get_interface(module.config.received_delegate, eager)
    return delegate(module, query, key, value, attention_mask, **kwargs)


ALL_ATTENTION_FUNCTIONS.register(ATTENTION, received_attention)
