"""Bottleneck adapters: h + W_up act(W_down x + b_down) + b_up, in series with a module or parallel to an FFN.

Serial: Houlsby et al. 2019, arXiv 1902.00751, and Pfeiffer et al. 2020, arXiv 2005.00247. Parallel: He et al. 2021,
arXiv 2110.04366, eq. (8). Shapes: W_down (b, H), W_up (H, b); W_up and b_up start at zero, so the start is exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import nn
from typing_extensions import override

from autopeft.methods.mechanisms.peft_registration import register
from autopeft.methods.mechanisms.wrapping import WrappingConfig, WrappingLayer, WrappingTuner

ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {"relu": F.relu, "gelu": F.gelu}
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


@dataclass
class SerialConfig(BottleneckConfig):
    """target_modules: linears (Houlsby placement) or whole blocks (Pfeiffer placement)."""

    name: ClassVar[str] = "SERIAL_ADAPTER"


@dataclass
class ParallelConfig(BottleneckConfig):
    """pairs: [path of the FFN's first linear, path of its last linear] of each layer; both are in target_modules."""

    name: ClassVar[str] = "PARALLEL_ADAPTER"
    scaling: float = 4.0
    pairs: list[list[str]] = field(default_factory=list)


def initial_values(width: int, bottleneck: int) -> tuple[torch.Tensor, ...]:
    """W_down, b_down, W_up, b_up of a bottleneck whose output is zero."""
    down = torch.empty(bottleneck, width)
    nn.init.kaiming_uniform_(down, a=math.sqrt(5))
    return down, torch.zeros(bottleneck), torch.zeros(width, bottleneck), torch.zeros(width)


class BottleneckLayer(WrappingLayer):
    """Adds s * bottleneck(x) to the hidden states that the wrapped module returns (a tensor, or first in a tuple)."""

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

    @override
    def adapted(self, *args: Any, **kwargs: Any) -> Any:
        result = self.base_layer(*args, **kwargs)
        if isinstance(result, tuple):
            return self.corrected(result[0], result[0]), *result[1:]
        return self.corrected(result, result)

    def corrected(self, hidden: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Hidden states plus every live adapter's correction at x, in the dtype of hidden."""
        total = hidden
        for name in self.live_adapters:
            total = total + self.bottleneck(x, name)
        return total.to(hidden.dtype)


class SerialModel(WrappingTuner):
    """Wraps linears or blocks in serial adapters."""

    prefix = "bottleneck_"
    tuner_layer_cls = BottleneckLayer


class ParallelLayer(BottleneckLayer):
    """Wraps the FFN's last linear: adds the correction at the FFN's input, which `entrance` has kept."""

    entrance: ParallelEntrance

    @override
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        x = self.entrance.take()  # also when disabled, so that no activation outlives its forward pass
        result = self.base_layer(*args, **kwargs)
        return result if self.disable_adapters else self.corrected(result, x)


class ParallelEntrance(WrappingLayer):
    """Wraps the FFN's first linear and keeps its input until the last linear of the same pass takes it."""

    kept: torch.Tensor | None = None

    @override
    def new_parameters(self, config: ParallelConfig) -> dict[str, torch.Tensor]:
        return {}

    @override
    def forward(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        self.kept = x
        return self.base_layer(x, *args, **kwargs)

    def take(self) -> torch.Tensor:
        """Hand out the input (..., H) that was kept, once."""
        x, self.kept = self.kept, None
        return x


class ParallelModel(WrappingTuner):
    """Wraps the first and the last linear of each FFN and tells the last where to find the FFN's input."""

    prefix = "bottleneck_"

    @override
    def layer_class(self, config: ParallelConfig, path: str) -> type[WrappingLayer]:
        return ParallelEntrance if path in {entrance for entrance, _ in config.pairs} else ParallelLayer

    @override
    def inject_adapter(self, model: nn.Module, adapter_name: str, *args: Any, **kwargs: Any) -> None:
        super().inject_adapter(model, adapter_name, *args, **kwargs)
        for entrance, last in self.peft_config[adapter_name].pairs:
            # Through __dict__: as a submodule the entrance would be in the state dict twice.
            model.get_submodule(last).__dict__["entrance"] = model.get_submodule(entrance)


register(SerialConfig.name, SerialConfig, SerialModel, SerialModel.prefix)
register(ParallelConfig.name, ParallelConfig, ParallelModel, ParallelModel.prefix)
