"""DCFT, fine-tuning by deconvolution in a subspace: dW = (B A) kron C, never materialised in the forward pass.

Zhang et al. 2025, arXiv 2503.01419: a transposed convolution with stride = kernel size has no overlaps, so it is a
Kronecker product. Shapes: A (k, ceil(in/d)), B (ceil(out/d), k), C (d, d); k is the rank, d the kernel size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import nn
from transformers.pytorch_utils import Conv1D
from typing_extensions import override

from autopeft.base.errors import AutopeftError
from autopeft.methods.mechanisms.peft_registration import register
from autopeft.methods.mechanisms.wrapping import MergingLayer, WrappingConfig, WrappingTuner

PAPER_STD = 0.02  # the reference code draws A, B and C from N(0, 0.02^2)
ALPHA_DIVISOR = 8  # and scales by lora_alpha / lora_r; its scripts for large models have lora_r 8, the others 2 or 3


@dataclass
class DcftConfig(WrappingConfig):
    """rank k, kernel_size d; the update is scaled by alpha / 8; init "zero" starts as an exact no-op."""

    name: ClassVar[str] = "DCFT"
    rank: int = 1
    kernel_size: int = 8
    alpha: float = 16.0
    init: str = "zero"
    orthogonality: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require("rank", self.rank >= 1, "at least 1")
        self.require("kernel_size", self.kernel_size >= 1, "at least 1")
        self.require("init", self.init in ("zero", "paper"), "'zero' or 'paper'")


def deconvolve(x: torch.Tensor, a: torch.Tensor, b: torch.Tensor, c: torch.Tensor, out: int) -> torch.Tensor:
    """Apply ((b a) kron c)[:out, :in] to x (..., in) -> (..., out) in about 2(k in + k d^2 + k out) FLOPs a token."""
    (k, blocks), d = a.shape, c.shape[0]
    padded = F.pad(x, (0, blocks * d - x.shape[-1]))
    # Two-dimensional products throughout: torch.matmul on more dimensions picks its kernel by requires_grad, and a
    # reloaded adapter, whose factors are frozen, must give the same bits as the trained one.
    u = swap(padded.reshape(-1, blocks, d)) @ a.T  # (N d, k)
    v = swap(u.view(-1, d, k)) @ c.T  # (N k, d)
    y = swap(v.view(-1, k, d)) @ b.T  # (N d, ceil(out/d))
    return y.view(-1, d, b.shape[0]).transpose(1, 2).reshape(*x.shape[:-1], -1)[..., :out]


def swap(blocks: torch.Tensor) -> torch.Tensor:
    """(N, m, n) -> (N n, m)."""
    return blocks.transpose(1, 2).flatten(0, 1)


def delta_weight(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor, out: int, size: int) -> torch.Tensor:
    """The update itself, (out, in): only merging needs it."""
    return torch.kron(b @ a, c)[:out, :size]


class DcftLayer(MergingLayer):
    """Wraps a Linear or a GPT-2 Conv1D (whose weight lies transposed)."""

    adapter_layer_names = ("dcft_A", "dcft_B", "dcft_C")

    def features(self) -> tuple[int, int]:
        """(in, out) of the wrapped linear. Raises AutopeftError for another kind of module."""
        base = self.get_base_layer()
        if isinstance(base, Conv1D):
            return tuple(base.weight.shape)
        if isinstance(base, nn.Linear):
            return base.in_features, base.out_features
        raise AutopeftError(f"DCFT adapts linear modules, not {type(base).__name__}: name linears in target_modules.")

    @override
    def new_parameters(self, config: DcftConfig) -> dict[str, torch.Tensor]:
        size, out = self.features()
        k, d = config.rank, config.kernel_size
        a, b, c = torch.empty(k, -(-size // d)), torch.zeros(-(-out // d), k), torch.empty(d, d)
        if config.init == "paper":
            for factor in (a, b, c):
                nn.init.normal_(factor, std=PAPER_STD)
        else:
            # Only B is zero, so its gradient is not. A as LoRA draws it; C with variance 1/d keeps the size of A X,
            # so the first step does not depend on the kernel size.
            nn.init.kaiming_uniform_(a, a=math.sqrt(5))
            nn.init.normal_(c, std=d**-0.5)
        return {"dcft_A": a, "dcft_B": b, "dcft_C": c}

    def scaling(self, adapter_name: str) -> float:
        """What the update is multiplied by."""
        return self.configs[adapter_name].alpha / ALPHA_DIVISOR

    def factors(self, adapter_name: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """A (k, ceil(i/d)), B (ceil(o/d), k) and the kernel C (d, d) of an adapter."""
        return self.dcft_A[adapter_name], self.dcft_B[adapter_name], self.dcft_C[adapter_name]

    @override
    def adapted(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        result = self.base_layer(x, *args, **kwargs)
        total, out = result, result.shape[-1]
        for name in self.live_adapters:
            a, b, c = self.factors(name)
            total = total + self.scaling(name) * deconvolve(self._cast_input_dtype(x, a.dtype), a, b, c, out)
        return total.to(result.dtype)

    def get_delta_weight(self, adapter_name: str) -> torch.Tensor:
        """The scaled dW in the layout of the wrapped weight."""
        size, out = self.features()
        delta = self.scaling(adapter_name) * delta_weight(*self.factors(adapter_name), out, size)
        return delta.T if isinstance(self.get_base_layer(), Conv1D) else delta

    @torch.no_grad()
    @override
    def get_delta(self, adapter_name: str) -> torch.Tensor:
        return self.get_delta_weight(adapter_name)


class DcftModel(WrappingTuner):
    """Wraps linears in DCFT layers."""

    prefix = "dcft_"
    tuner_layer_cls = DcftLayer


def orthogonality(model: nn.Module) -> torch.Tensor:
    """Mean over modules and factors of ||A A^T - I_k||_F and ||B^T B - I_k||_F (not squared; C is left free)."""
    norms = []
    for layer in model.modules():
        if isinstance(layer, DcftLayer):
            for name in layer.live_adapters:
                a, b, _ = layer.factors(name)
                eye = torch.eye(a.shape[0], device=a.device, dtype=a.dtype)
                norms += [torch.linalg.norm(a @ a.T - eye), torch.linalg.norm(b.T @ b - eye)]
    return torch.stack(norms).mean() if norms else torch.zeros(())


register("DCFT", DcftConfig, DcftModel, DcftModel.prefix)
