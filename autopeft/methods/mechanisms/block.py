"""What tuners that wrap whole transformer blocks share: the stream before and behind a block, and its padding.

Shapes: B batch, S tokens, H width.
"""

from __future__ import annotations

from typing import Any

import torch
from typing_extensions import override

from autopeft.methods.mechanisms.wrapping import WrappingLayer


class BlockLayer(WrappingLayer):
    """Adds every live adapter's correction to the hidden states a block returns (a tensor, or first in a tuple)."""

    @override
    def adapted(self, *args: Any, **kwargs: Any) -> Any:
        before = args[0] if args else kwargs["hidden_states"]
        result = self.base_layer(*args, **kwargs)
        after = result[0] if isinstance(result, tuple) else result
        text, total = text_tokens(args[1:], kwargs, after.shape[1]), after
        for name in self.live_adapters:
            total = total + self.correction(name, before, after, text)
        total = total.to(after.dtype)
        return (total, *result[1:]) if isinstance(result, tuple) else total

    def correction(
        self, adapter_name: str, before: torch.Tensor, after: torch.Tensor, text: torch.Tensor | None
    ) -> torch.Tensor:
        """Compute an adapter's correction of the hidden states.

        Args:
            adapter_name: the adapter.
            before: hidden states that enter the block, (B, S, H).
            after: those that leave it, (B, S, H).
            text: which tokens are not padding, (B, S), None if none is.

        Returns:
            What is added to `after`, (B, S, H) or (B, 1, H), fp32.
        """
        raise NotImplementedError


def text_tokens(arguments: tuple, keywords: dict, length: int) -> torch.Tensor | None:
    """The attention mask among a block's arguments -> which tokens are text (B, S); None where nothing is padded.

    A token is text where it may see itself, which holds for causal and for windowed masks too. Masks are bool or
    0/1 (True is text) or additive (0 is text), (B, S), (B, 1, 1, S) or (B, 1, S, S).

    Args:
        arguments: the positional arguments of the block's forward.
        keywords: the others.
        length: S, the tokens of a row.
    """
    for mask in (*arguments, *keywords.values()):
        if not isinstance(mask, torch.Tensor) or mask.shape[-1:] != (length,):
            continue
        if mask.ndim == 4 and mask.shape[1] == 1:
            mask = mask[:, 0, 0] if mask.shape[2] == 1 else mask[:, 0].diagonal(dim1=-2, dim2=-1)
            return mask > -1 if mask.is_floating_point() else mask.bool()
    mask = keywords.get("attention_mask")
    return mask.bool() if isinstance(mask, torch.Tensor) and mask.ndim == 2 else None
