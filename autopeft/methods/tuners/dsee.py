"""DSEE: a low-rank and a sparse update of one linear. Chen et al. 2021, arXiv 2111.00160 (W + U V + S2, no pruning).

Shapes: A (r, i), B (o, r); S2 as in SPARSE.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from autopeft.methods.tuners.registration import register
from autopeft.methods.tuners.sparse import SparseConfig, SparseLayer, SparseModel


@dataclass
class DseeConfig(SparseConfig):
    """rank r of the update that is scaled by alpha / r, beside the sparse one."""

    name: ClassVar[str] = "DSEE"
    rank: int = 8
    alpha: float = 16.0

    def __post_init__(self):
        super().__post_init__()
        self.require("rank", self.rank >= 1, "at least 1")


class DseeLayer(SparseLayer):
    adapter_layer_names = ("sparse_values", "sparse_A", "sparse_B")

    def new_parameters(self, config: DseeConfig) -> dict[str, torch.Tensor]:
        shape = self.shape()
        out, size = shape[::-1] if isinstance(self.get_base_layer(), Conv1D) else shape
        a = torch.empty(config.rank, size)
        nn.init.kaiming_uniform_(a, a=math.sqrt(5))
        return {**super().new_parameters(config), "sparse_A": a, "sparse_B": torch.zeros(out, config.rank)}

    def scaling(self, adapter_name: str) -> float:
        return self.configs[adapter_name].alpha / self.configs[adapter_name].rank

    def adapted(self, x: torch.Tensor, *args, **kwargs) -> torch.Tensor:
        result = super().adapted(x, *args, **kwargs)
        total = result
        for name in self.live_adapters:
            a, b = self.sparse_A[name], self.sparse_B[name]
            total = total + self.scaling(name) * (self._cast_input_dtype(x, a.dtype) @ a.T @ b.T)
        return total.to(result.dtype)

    @torch.no_grad()
    def get_delta(self, adapter_name: str) -> torch.Tensor:
        product = self.scaling(adapter_name) * self.sparse_B[adapter_name] @ self.sparse_A[adapter_name]
        sparse = super().get_delta(adapter_name)
        return sparse + (product.T if isinstance(self.get_base_layer(), Conv1D) else product)


class DseeModel(SparseModel):
    tuner_layer_cls = DseeLayer


register(DseeConfig.name, DseeConfig, DseeModel, DseeModel.prefix)
