"""CorDA's layer: LoRA that starts at given factors, of which the start's own output is subtracted.

Yang et al. 2024, arXiv 2406.05223. Shapes: A (r, in), B (out, r), trained; A0 and B0 the same, frozen and saved.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
import torch.nn.functional as F
from peft.tuners._buffer_dict import BufferDict
from torch import nn
from transformers.pytorch_utils import Conv1D
from typing_extensions import override

from autopeft.base.errors import AutopeftError
from autopeft.methods.mechanisms.peft_registration import register
from autopeft.methods.mechanisms.wrapping import MergingLayer, WrappingConfig, WrappingTuner

if TYPE_CHECKING:
    from autopeft.methods.mechanisms.statistics import Statistics


DAMPING = 0.01  # of the covariance's mean diagonal: its condition number is then at most 100 times its width
FOUND: weakref.WeakKeyDictionary[Statistics, dict[str, dict[str, tuple[torch.Tensor, ...]]]] = (
    weakref.WeakKeyDictionary()
)  # statistics -> path -> components, for all trials


@dataclass
class CordaConfig(WrappingConfig):
    """r: rank; a module whose sides are smaller gets that of the smaller one."""

    name: ClassVar[str] = "CORDA"
    r: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require("r", self.r >= 1, "at least 1")


class CordaLayer(MergingLayer):
    """Wraps a Linear or a GPT-2 Conv1D; y = W x + B A x - B0 A0 x."""

    adapter_layer_names = ("corda_A", "corda_B")
    other_param_names = ("corda_A0", "corda_B0")

    def __init__(self, base_layer: nn.Module, adapter_name: str, config: CordaConfig) -> None:
        if not isinstance(base_layer, (nn.Linear, Conv1D)):
            raise AutopeftError(f"CorDA adapts linear modules, not {type(base_layer).__name__}.")
        super().__init__(base_layer, adapter_name, config)

    def weight_out_in(self) -> torch.Tensor:
        """The wrapped weight as (out, in)."""
        base = self.get_base_layer()
        return base.weight.T if isinstance(base, Conv1D) else base.weight

    @override
    def new_parameters(self, config: CordaConfig) -> dict[str, torch.Tensor]:
        out, size = self.weight_out_in().shape
        r = min(config.r, out, size)
        return {"corda_A": torch.zeros(r, size), "corda_B": torch.zeros(out, r)}

    @override
    def update_layer(self, adapter_name: str, config: CordaConfig) -> None:
        super().update_layer(adapter_name, config)
        for name in self.other_param_names:
            if not hasattr(self, name):
                setattr(self, name, BufferDict(persistent=True))
            start = getattr(self, name.removesuffix("0"))[adapter_name]
            getattr(self, name)[adapter_name] = start.detach().clone()

    @torch.no_grad()
    def start_at(self, a: torch.Tensor, b: torch.Tensor) -> None:
        """Give the live adapters these factors, a (at least r, in) and b (out, at least r), most wanted first."""
        for name in self.live_adapters:
            r = len(self.corda_A[name])
            for here in (self.corda_A, self.corda_A0):
                here[name].copy_(a[:r])
            for here in (self.corda_B, self.corda_B0):
                here[name].copy_(b[:, :r])

    @override
    def adapted(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        total = result = self.base_layer(x, *args, **kwargs)
        for name in self.live_adapters:
            a, b = self.corda_A[name], self.corda_B[name]
            flat = self._cast_input_dtype(x, a.dtype).flatten(0, -2)  # 2-D products: the same bits frozen or trained
            moved = F.linear(F.linear(flat, a), b) - F.linear(F.linear(flat, self.corda_A0[name]), self.corda_B0[name])
            total = total + moved.reshape(result.shape)
        return total.to(result.dtype)

    @torch.no_grad()
    @override
    def get_delta(self, adapter_name: str) -> torch.Tensor:
        delta = self.corda_B[adapter_name] @ self.corda_A[adapter_name]
        delta = delta - self.corda_B0[adapter_name] @ self.corda_A0[adapter_name]
        return delta.T if isinstance(self.get_base_layer(), Conv1D) else delta


class CordaModel(WrappingTuner):
    """Wraps linears in CorDA layers."""

    prefix = "corda_"
    tuner_layer_cls = CordaLayer


def corda_layers(model: nn.Module) -> Iterator[tuple[str, CordaLayer]]:
    """The adapted modules, each with the path it has in the backbone."""
    for path, layer in model.get_base_model().named_modules():
        if isinstance(layer, CordaLayer):
            yield path.replace(".base_layer", ""), layer


def components(
    statistics: Statistics, path: str, weight: torch.Tensor, number: int
) -> dict[str, tuple[torch.Tensor, ...]]:
    """(A, B) by mode of a weight (out, in): its `number` largest components (ipm) and smallest (kpm), extreme first."""
    found = FOUND.setdefault(statistics, {})
    if path not in found:
        found[path] = decompose(weight.float(), statistics.covariance(path), number)
    return found[path]


@torch.no_grad()
def decompose(weight: torch.Tensor, covariance: torch.Tensor, number: int) -> dict[str, tuple[torch.Tensor, ...]]:
    """SVD of W C = U S V^T; A = S^(1/2) V^T C^-1 and B = U S^(1/2), whose product over all components is W."""
    size = len(covariance)
    damped = covariance + DAMPING * covariance.diagonal().mean() * torch.eye(size, device=covariance.device)
    u, s, vh = torch.linalg.svd(weight @ damped, full_matrices=False)
    last = torch.arange(len(s) - 1, max(len(s) - number, 0) - 1, -1, device=s.device)
    chosen = {"ipm": torch.arange(min(number, len(s)), device=s.device), "kpm": last}
    root, factor = s.sqrt(), torch.linalg.cholesky(damped)
    return {
        mode: (root[k, None] * torch.cholesky_solve(vh[k].T.contiguous(), factor).T, u[:, k] * root[k])
        for mode, k in chosen.items()
    }


register(CordaConfig.name, CordaConfig, CordaModel, CordaModel.prefix)
