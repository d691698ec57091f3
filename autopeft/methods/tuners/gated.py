"""GATED_LORA, GATED_PREFIX, GATED_ADAPTER: each adapter behind a gate that its own input opens and closes.

UniPELT, Mao et al. 2021, arXiv 2110.07577: gate = sigmoid(w h + b), w (1, H), b (1,), times what the adapter adds. LoRA
and the adapter have a gate for every token; a prefix serves all queries of a text and has their mean over its tokens
(the authors take that mean everywhere, padding included). w starts small and b at 0, so every gate is half open.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import nn
from typing_extensions import override

from autopeft.backbone.roles import sizes
from autopeft.methods.mechanisms.block import text_tokens
from autopeft.methods.mechanisms.peft_registration import register
from autopeft.methods.mechanisms.wrapping import WrappingConfig, WrappingLayer, WrappingTuner
from autopeft.methods.tuners.bottleneck import BottleneckLayer
from autopeft.methods.tuners.prefix import PrefixLayer, PrefixLayersConfig
from autopeft.methods.tuners.serial import PfeifferLayer, SerialConfig

STD = 0.02


def initial_gate(width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight (1, width) and bias (1,) of a gate that starts about half open."""
    return torch.randn(1, width) * STD, torch.zeros(1)


def gate(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """Gate of x (..., H) -> (..., 1) between 0 and 1."""
    return F.linear(x, weight, bias).sigmoid()


@dataclass
class GatedLoraConfig(WrappingConfig):
    """dW of that rank, times alpha / rank and the gate."""

    name: ClassVar[str] = "GATED_LORA"
    rank: int = 8
    alpha: float = 16.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require("rank", self.rank >= 1, "at least 1")


class GatedLoraLayer(WrappingLayer):
    """Wraps a Linear or a GPT-2 Conv1D: A (r, i), B (o, r)."""

    adapter_layer_names = ("gatedlora_A", "gatedlora_B", "gatedlora_gate", "gatedlora_gate_bias")

    @override
    def new_parameters(self, config: GatedLoraConfig) -> dict[str, torch.Tensor]:
        size, out = sizes(self.get_base_layer())
        a = torch.empty(config.rank, size)
        nn.init.kaiming_uniform_(a, a=math.sqrt(5))
        return dict(zip(self.adapter_layer_names, (a, torch.zeros(out, config.rank), *initial_gate(size))))

    @override
    def adapted(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        result = self.base_layer(x, *args, **kwargs)
        total = result
        for name in self.live_adapters:
            a, b, *opening = (getattr(self, kind)[name] for kind in self.adapter_layer_names)
            config, own = self.configs[name], self._cast_input_dtype(x, a.dtype)
            update = F.linear(F.linear(own, a), b) * (config.alpha / config.rank)
            total = total + gate(own, *opening) * update
        return total.to(result.dtype)


class GatedLoraModel(WrappingTuner):
    """Wraps linears in gated LoRA layers."""

    prefix = "gatedlora_"
    tuner_layer_cls = GatedLoraLayer


@dataclass
class GatedAdapterConfig(SerialConfig):
    """A serial adapter's fields."""

    name: ClassVar[str] = "GATED_ADAPTER"


class GatedAdapterLayer(BottleneckLayer):
    """A bottleneck whose correction is multiplied by the gate (..., 1) at its input."""

    adapter_layer_names = (*BottleneckLayer.adapter_layer_names, "bottleneck_gate", "bottleneck_gate_bias")

    @override
    def new_parameters(self, config: GatedAdapterConfig) -> dict[str, torch.Tensor]:
        opening = dict(zip(self.adapter_layer_names[-2:], initial_gate(config.hidden_size)))
        return {**super().new_parameters(config), **opening}

    @override
    def bottleneck(self, x: torch.Tensor, adapter_name: str) -> torch.Tensor:
        weight, bias = self.bottleneck_gate[adapter_name], self.bottleneck_gate_bias[adapter_name]
        return gate(self._cast_input_dtype(x, weight.dtype), weight, bias) * super().bottleneck(x, adapter_name)


class GatedPfeifferLayer(GatedAdapterLayer, PfeifferLayer):
    """The same where a Pfeiffer adapter stands."""


class GatedAdapterModel(WrappingTuner):
    """Wraps linears or blocks in gated serial adapters."""

    prefix = "bottleneck_"

    @override
    def layer_class(self, config: GatedAdapterConfig, path: str) -> type[WrappingLayer]:
        return GatedPfeifferLayer if config.placement == "pfeiffer" else GatedAdapterLayer


@dataclass
class GatedPrefixConfig(PrefixLayersConfig):
    """A prefix's fields; hidden_size H is the width of the gate's input."""

    name: ClassVar[str] = "GATED_PREFIX"
    hidden_size: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require("hidden_size", self.hidden_size >= 1, "the width of the backbone")


class GatedPrefixLayer(PrefixLayer):
    """The keys and the values of the prefix times the gate of the text that reads them."""

    adapter_layer_names = (*PrefixLayer.adapter_layer_names, "prefixlayers_gate", "prefixlayers_gate_bias")

    @override
    def new_parameters(self, config: GatedPrefixConfig) -> dict[str, torch.Tensor]:
        opening = dict(zip(self.adapter_layer_names[-2:], initial_gate(config.hidden_size)))
        return {**super().new_parameters(config), **opening}

    @override
    def prefix(self, *args: Any, **kwargs: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """The gated keys and values, (B, n, kv heads * head dim) each."""
        hidden = args[0] if args else kwargs["hidden_states"]
        text = text_tokens(args[1:], kwargs, hidden.shape[1])
        text = torch.ones_like(hidden[..., 0]) if text is None else text
        keys, values = [], []
        for name in self.live_adapters:
            key, value, weight, bias = (getattr(self, kind)[name] for kind in self.adapter_layer_names)
            each = gate(self._cast_input_dtype(hidden, weight.dtype), weight, bias).float()[..., 0]  # (B, S)
            opening = ((each * text).sum(1) / text.sum(1).clamp(min=1))[:, None, None]
            keys.append(opening * key)
            values.append(opening * value)
        return torch.cat(keys, 1), torch.cat(values, 1)


class GatedPrefixModel(WrappingTuner):
    """Wraps attention modules in gated prefixes."""

    prefix = "prefixlayers_"
    tuner_layer_cls = GatedPrefixLayer


register(GatedLoraConfig.name, GatedLoraConfig, GatedLoraModel, GatedLoraModel.prefix)
register(GatedAdapterConfig.name, GatedAdapterConfig, GatedAdapterModel, GatedAdapterModel.prefix)
register(GatedPrefixConfig.name, GatedPrefixConfig, GatedPrefixModel, GatedPrefixModel.prefix)
