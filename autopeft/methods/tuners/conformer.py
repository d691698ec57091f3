"""CONFORMER_ADAPTER: h + W_up silu(LN(depthwise(GLU(W_in LN(h) + b_in)))) + b_up beside a block.

Cappellazzo et al. 2023, arXiv 2312.03694. Three departures, each for a reason: the branch lies parallel to the whole
block, since only a block is told which tokens are padding; the norm after the convolution is a LayerNorm over the b
channels (as many parameters), since BatchNorm's running statistics would make a model depend on the order of batches;
in a causal model the kernel looks back only. Padding enters the convolution as zeros, so it changes no text token.
Shapes: W_in (2b, H), depthwise (b, k), W_up (H, b). Only W_up and b_up start at zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import nn
from typing_extensions import override

from autopeft.methods.mechanisms.block import BlockLayer
from autopeft.methods.mechanisms.peft_registration import register
from autopeft.methods.mechanisms.wrapping import WrappingConfig, WrappingTuner


@dataclass
class ConformerConfig(WrappingConfig):
    """target_modules: blocks; kernel_size k, odd; causal: position t sees t - k + 1 to t."""

    name: ClassVar[str] = "CONFORMER_ADAPTER"
    bottleneck: int = 8
    hidden_size: int = 0
    kernel_size: int = 3
    causal: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require("bottleneck", self.bottleneck >= 1, "at least 1")
        self.require("hidden_size", self.hidden_size >= 1, "the width of the backbone")
        self.require("kernel_size", self.kernel_size >= 1 and self.kernel_size % 2 == 1, "odd")


class ConformerLayer(BlockLayer):
    """Wraps a block; adds the bottleneck with its convolution to what the block returns."""

    reads_tokens = True  # those before a token, anew in every pass
    adapter_layer_names = tuple(
        f"conformer_{name}"
        for name in (
            "norm",
            "norm_bias",
            "in",
            "in_bias",
            "depthwise",
            "depthwise_bias",
            "channel_norm",
            "channel_norm_bias",
            "up",
            "up_bias",
        )
    )

    @override
    def new_parameters(self, config: ConformerConfig) -> dict[str, torch.Tensor]:
        width, b, k = config.hidden_size, config.bottleneck, config.kernel_size
        into, depthwise = torch.empty(2 * b, width), torch.empty(b, k)
        for weight in (into, depthwise):
            nn.init.kaiming_uniform_(weight, a=math.sqrt(5))
        norms = (torch.ones(width), torch.zeros(width)), (torch.ones(b), torch.zeros(b))
        values = (*norms[0], into, torch.zeros(2 * b), depthwise, torch.zeros(b), *norms[1])
        return dict(zip(self.adapter_layer_names, (*values, torch.zeros(width, b), torch.zeros(width))))

    @override
    def correction(
        self, adapter_name: str, before: torch.Tensor, after: torch.Tensor, text: torch.Tensor | None
    ) -> torch.Tensor:
        config = self.configs[adapter_name]
        values = [getattr(self, name)[adapter_name] for name in self.adapter_layer_names]
        gain, shift, into, into_bias, kernel, kernel_bias, channel_gain, channel_shift, up, up_bias = values
        x = F.layer_norm(self._cast_input_dtype(before, gain.dtype), gain.shape, gain, shift)
        x = F.glu(F.linear(x, into, into_bias))
        if text is not None:
            x = x * text.unsqueeze(-1)
        x = depthwise(x, kernel, config.causal) + kernel_bias
        x = F.silu(F.layer_norm(x, kernel_bias.shape, channel_gain, channel_shift))
        return F.linear(x, up, up_bias)


def depthwise(x: torch.Tensor, kernel: torch.Tensor, causal: bool) -> torch.Tensor:
    """Convolve x (B, S, b) with kernel (b, k) -> (B, S, b): each channel's own convolution along the tokens."""
    around = kernel.shape[1] - 1
    left = around if causal else around // 2
    windows = F.pad(x, (0, 0, left, around - left)).unfold(1, kernel.shape[1], 1)  # (B, S, b, k)
    return (windows * kernel).sum(-1)


class ConformerModel(WrappingTuner):
    """Wraps blocks in Conformer adapters."""

    prefix = "conformer_"
    tuner_layer_cls = ConformerLayer


register(ConformerConfig.name, ConformerConfig, ConformerModel, ConformerModel.prefix)
