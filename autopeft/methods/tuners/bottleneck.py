"""Bottleneck adapters: SA(x) = s (W_up act(W_down x + b_down) + b_up), added to what a module returns.

Shapes: W_down (b, H), W_up (H, b); W_up and b_up start at zero, so the start is exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from typing_extensions import override

from autopeft.methods.mechanisms.wrapping import WrappingConfig, WrappingLayer

ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {  # by transformers' names
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_new": partial(F.gelu, approximate="tanh"),
}
DOWN_AND_UP = ("bottleneck_down", "bottleneck_down_bias", "bottleneck_up", "bottleneck_up_bias")


@dataclass
class BottleneckConfig(WrappingConfig):
    """bottleneck b of a residual stream of hidden_size H."""

    bottleneck: int = 8
    hidden_size: int = 0
    activation: str = "relu"
    scaling: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require("bottleneck", self.bottleneck >= 1, "at least 1")
        self.require("hidden_size", self.hidden_size >= 1, "the width of the backbone")
        self.require("activation", self.activation in ACTIVATIONS, " or ".join(ACTIVATIONS))


def initial_values(width: int, bottleneck: int) -> tuple[torch.Tensor, ...]:
    """W_down, b_down, W_up, b_up of a bottleneck whose output is zero."""
    down = torch.empty(bottleneck, width)
    nn.init.kaiming_uniform_(down, a=math.sqrt(5))
    return down, torch.zeros(bottleneck), torch.zeros(width, bottleneck), torch.zeros(width)


class BottleneckLayer(WrappingLayer):
    """h + SA(h) of the hidden states h that the wrapped module returns (a tensor, or first in a tuple)."""

    adapter_layer_names: tuple[str, ...] = DOWN_AND_UP

    @override
    def new_parameters(self, config: BottleneckConfig) -> dict[str, torch.Tensor]:
        return dict(zip(DOWN_AND_UP, initial_values(config.hidden_size, config.bottleneck)))

    def bottleneck(self, x: torch.Tensor, adapter_name: str) -> torch.Tensor:
        """Hidden states x (..., H) -> scaled correction (..., H), fp32."""
        down, down_bias, up, up_bias = (getattr(self, name)[adapter_name] for name in DOWN_AND_UP)
        config = self.configs[adapter_name]
        inner = ACTIVATIONS[config.activation](F.linear(self._cast_input_dtype(x, down.dtype), down, down_bias))
        return config.scaling * F.linear(inner, up, up_bias)

    def correction(self, x: torch.Tensor) -> torch.Tensor:
        """Hidden states x (..., H) -> the sum of every live adapter's correction (..., H), fp32. There is at least one."""
        first, *others = self.live_adapters
        return sum((self.bottleneck(x, name) for name in others), start=self.bottleneck(x, first))

    @override
    def adapted(self, *args: Any, **kwargs: Any) -> Any:
        result = self.base_layer(*args, **kwargs)
        if not self.live_adapters:
            return result
        hidden = hidden_states(result)
        return with_hidden_states(result, (hidden + self.correction(hidden)).to(hidden.dtype))


def hidden_states(result: Any) -> torch.Tensor:
    """What a module returned -> the hidden states in it."""
    return result[0] if isinstance(result, tuple) else result


def with_hidden_states(result: Any, hidden: torch.Tensor) -> Any:
    """What a module returned, with other hidden states."""
    return (hidden, *result[1:]) if isinstance(result, tuple) else hidden
