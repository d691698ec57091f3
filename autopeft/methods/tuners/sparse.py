"""SPARSE: k trained numbers, each with its place in a linear's weight; nothing is kept of the weight's own size.

y = x (W + D)^T, D zero but for k entries. The backward pass makes D's dense gradient, takes the k entries out and lets
it go, so parameters, gradients and optimiser grow with k. Values fp32, indices int32 into the weight's own layout.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from peft.tuners._buffer_dict import BufferDict
from torch import nn
from transformers.pytorch_utils import Conv1D
from typing_extensions import override

from autopeft.base.errors import AutopeftError
from autopeft.methods.mechanisms.peft_registration import register
from autopeft.methods.mechanisms.sparse import trained_entries
from autopeft.methods.mechanisms.sparse_product import SparseLinear, dense, top
from autopeft.methods.mechanisms.wrapping import MergingLayer, WrappingConfig, WrappingTuner

ADAPTER = "default"  # the adapter that a search trains


@dataclass
class SparseConfig(WrappingConfig):
    """density: share of each weight that is trained; numbers: module path -> how many, where it is another number."""

    name: ClassVar[str] = "SPARSE"
    density: float = 0.01
    numbers: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require("density", 0 < self.density <= 1, "above 0 and at most 1")


@dataclass
class DseeConfig(SparseConfig):
    """DSEE (Chen et al. 2021, arXiv 2111.00160): beside the sparse update one of rank r, scaled by alpha / r.

    pruned: share of each wrapped weight, its smallest entries, that is set to zero in the model itself, for good.
    """

    name: ClassVar[str] = "DSEE"
    rank: int = 8
    alpha: float = 16.0
    pruned: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require("rank", self.rank >= 1, "at least 1")
        self.require("pruned", 0 <= self.pruned < 1, "at least 0 and below 1")


class SparseLayer(MergingLayer):
    """Wraps a Linear or a GPT-2 Conv1D (whose weight lies transposed)."""

    adapter_layer_names: tuple[str, ...] = ("sparse_values",)
    other_param_names = ("sparse_indices",)
    observe: Callable | None = None

    def shape(self) -> torch.Size:
        """The shape of the wrapped weight. Raises AutopeftError for another kind of module."""
        base = self.get_base_layer()
        if not isinstance(base, (nn.Linear, Conv1D)):
            kind = type(base).__name__
            raise AutopeftError(f"{kind} is no linear module: name linears in target_modules of a sparse adapter.")
        return base.weight.shape

    @override
    def update_layer(self, adapter_name: str, config: SparseConfig) -> None:
        if "sparse_indices" not in self._modules:
            self.sparse_indices = BufferDict(persistent=True)
        super().update_layer(adapter_name, config)
        values, size = self.sparse_values[adapter_name], self.shape().numel()
        places = torch.arange(values.numel(), device=values.device) * size // max(1, values.numel())
        self.sparse_indices[adapter_name] = places.int()  # evenly spaced until they are chosen or loaded

    @override
    def new_parameters(self, config: SparseConfig) -> dict[str, torch.Tensor]:
        number = getattr(config, "number", None)
        size = self.shape().numel()
        return {"sparse_values": torch.zeros(trained_entries(config.density, size) if number is None else number)}

    def select(self, adapter_name: str, indices: torch.Tensor) -> None:
        """Train the entries at these flat indices (k,), all different."""
        self.sparse_indices[adapter_name].copy_(indices)

    @override
    def adapted(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        base, live = self.base_layer, self.live_adapters
        if len(live) == 1 and type(base) in (nn.Linear, Conv1D) and x.dtype == base.weight.dtype == torch.float32:
            return self.product(x, live[0], base.weight, base.bias)  # one product in the place of two
        result = base(x, *args, **kwargs)
        total = result
        for name in live:
            total = total + self.product(x.to(result.dtype), name)
        return total.to(result.dtype)

    def product(
        self, x: torch.Tensor, name: str, weight: torch.Tensor | None = None, bias: torch.Tensor | None = None
    ) -> torch.Tensor:
        """X (..., i) -> x (W + D)^T + b (..., o), or x D^T without a weight."""
        values, indices = self.sparse_values[name], self.sparse_indices[name]
        transposed = isinstance(self.get_base_layer(), Conv1D)
        return SparseLinear.apply(x, values, indices, weight, bias, self.shape(), transposed, self.observe)

    @torch.no_grad()
    @override
    def get_delta(self, adapter_name: str) -> torch.Tensor:
        return dense(self.sparse_values[adapter_name], self.sparse_indices[adapter_name], self.shape())


class DseeLayer(SparseLayer):
    """A sparse delta and a low-rank one, A (r, i) and B (o, r), beside the same weight."""

    adapter_layer_names = ("sparse_values", "sparse_A", "sparse_B")

    @override
    def update_layer(self, adapter_name: str, config: DseeConfig) -> None:
        super().update_layer(adapter_name, config)
        weight = self.get_base_layer().weight.data
        if number := round(config.pruned * weight.numel()):
            weight.view(-1)[top(-weight.abs(), number)] = 0.0

    @override
    def new_parameters(self, config: DseeConfig) -> dict[str, torch.Tensor]:
        shape = self.shape()
        out, size = shape[::-1] if isinstance(self.get_base_layer(), Conv1D) else shape
        a = torch.empty(config.rank, size)
        nn.init.kaiming_uniform_(a, a=math.sqrt(5))
        return {**super().new_parameters(config), "sparse_A": a, "sparse_B": torch.zeros(out, config.rank)}

    def scaling(self, adapter_name: str) -> float:
        """What the low-rank part is multiplied by."""
        return self.configs[adapter_name].alpha / self.configs[adapter_name].rank

    @override
    def adapted(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        result = super().adapted(x, *args, **kwargs)
        total = result
        for name in self.live_adapters:
            a, b = self.sparse_A[name], self.sparse_B[name]
            total = total + self.scaling(name) * (self._cast_input_dtype(x, a.dtype) @ a.T @ b.T)
        return total.to(result.dtype)

    @torch.no_grad()
    @override
    def get_delta(self, adapter_name: str) -> torch.Tensor:
        product = self.scaling(adapter_name) * self.sparse_B[adapter_name] @ self.sparse_A[adapter_name]
        sparse = super().get_delta(adapter_name)
        return sparse + (product.T if isinstance(self.get_base_layer(), Conv1D) else product)


class SparseModel(WrappingTuner):
    """Wraps linears in sparse deltas, each with as many entries as `numbers` says."""

    prefix = "sparse_"
    tuner_layer_cls = SparseLayer

    @override
    def _create_and_replace(
        self,
        peft_config: Any,
        adapter_name: str,
        target: nn.Module,
        target_name: str,
        parent: nn.Module,
        current_key: str,
        **kwargs: Any,
    ) -> None:
        peft_config = copy.copy(peft_config)
        peft_config.number = peft_config.numbers.get(current_key)
        super()._create_and_replace(peft_config, adapter_name, target, target_name, parent, current_key, **kwargs)


class DseeModel(SparseModel):
    """Wraps linears in a sparse and a low-rank delta."""

    tuner_layer_cls = DseeLayer


def sparse_layers(model: nn.Module) -> dict[str, SparseLayer]:
    """Path of the adapted linear in the bare model -> its layer."""
    return {
        path.removeprefix("base_model.model.").replace(".base_layer", ""): module
        for path, module in model.named_modules()
        if isinstance(module, SparseLayer)
    }


register(SparseConfig.name, SparseConfig, SparseModel, SparseModel.prefix)
register(DseeConfig.name, DseeConfig, DseeModel, DseeModel.prefix)
