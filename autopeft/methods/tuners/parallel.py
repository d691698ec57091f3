"""PARALLEL_ADAPTER: FFN(x) + s PA(x), a bottleneck beside each FFN. He et al. 2021, arXiv 2110.04366, eq. (8).

x is what the FFN's first linear reads. Where a norm stands before it (decoders), the authors' code and AdapterHub read
the residual stream before that norm, this tuner behind it; where the norm closes the block (BERT), these are the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import nn
from typing_extensions import override

from autopeft.methods.mechanisms.peft_registration import register
from autopeft.methods.mechanisms.wrapping import WrappingLayer, WrappingTuner
from autopeft.methods.tuners.bottleneck import BottleneckConfig, BottleneckLayer


@dataclass
class ParallelConfig(BottleneckConfig):
    """pairs: [path of the FFN's first linear, path of its last linear] of each layer; both are in target_modules."""

    name: ClassVar[str] = "PARALLEL_ADAPTER"
    scaling: float = 4.0
    pairs: list[list[str]] = field(default_factory=list)


class ParallelLayer(BottleneckLayer):
    """Wraps the FFN's last linear: adds the correction at the FFN's input, which `entrance` has kept."""

    entrance: ParallelEntrance
    leaves: bool = False  # the correction to a serial adapter of the same block, which must not read it
    left: torch.Tensor | None = None

    @override
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        x = self.entrance.take()  # also when disabled, so that no activation outlives its forward pass
        result = self.base_layer(*args, **kwargs)
        if self.disable_adapters or not self.live_adapters:
            return result
        correction = self.correction(x)
        if self.leaves:
            self.left = correction
            return result
        return (result + correction).to(result.dtype)

    def take_left(self, hidden: torch.Tensor) -> torch.Tensor | int:
        """Hand out the correction that was left, once, in the shape of the block's hidden states; 0 if none was."""
        left, self.left = self.left, None
        return 0 if left is None else left.reshape(hidden.shape)  # OPT's FFN reads the tokens of all rows in one


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


register(ParallelConfig.name, ParallelConfig, ParallelModel, ParallelModel.prefix)
