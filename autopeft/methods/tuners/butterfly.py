"""BOFT, orthogonal butterfly factors before a linear and a factor on each of its outputs: y = s (W R_m ... R_1 x) + b.

Liu et al. 2023, arXiv 2311.06243, eq. (5). peft's own BOFT compiles a CUDA extension for more than one factor, and its
third factor pairs what the second has paired. Here factor i turns halves of blocks that lie 2^i halves apart, so that
m factors of blocks of b mix b 2^(m-1) inputs. Shapes: skew (m, n/b, b(b-1)/2), R (m, n/b, b, b), scale (out,).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from transformers.pytorch_utils import Conv1D
from typing_extensions import override

from autopeft.methods.mechanisms.peft_registration import register
from autopeft.methods.mechanisms.wrapping import WrappingConfig, WrappingLayer, WrappingTuner


@dataclass
class ButterflyConfig(WrappingConfig):
    """block_size b and factors m: b 2^(m-1) divides the inputs of every target."""

    name: ClassVar[str] = "BUTTERFLY"
    block_size: int = 8
    factors: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require("block_size", self.block_size >= 2 and self.block_size % 2 == 0, "even")
        self.require("factors", self.factors >= 1, "at least 1")


def cayley(skew: torch.Tensor) -> torch.Tensor:
    """The numbers above the diagonal of a skew-symmetric Q (..., b(b-1)/2) -> (I - Q)(I + Q)^-1, a rotation."""
    size = int((1 + (1 + 8 * skew.shape[-1]) ** 0.5) / 2)
    rows, columns = torch.triu_indices(size, size, 1, device=skew.device)
    index = torch.zeros(size, size, dtype=torch.long, device=skew.device)
    sign = torch.zeros(size, size, dtype=skew.dtype, device=skew.device)
    index[rows, columns] = index[columns, rows] = torch.arange(len(rows), device=skew.device)
    sign[rows, columns], sign[columns, rows] = 1.0, -1.0
    q, eye = skew[..., index] * sign, torch.eye(size, dtype=skew.dtype, device=skew.device)
    return torch.linalg.solve(eye + q, eye - q, left=False)


def rotate(x: torch.Tensor, rotations: torch.Tensor, back: bool = False) -> torch.Tensor:
    """Rotate x (..., n) -> x R_1 ... R_m, or with `back` the x that this was made of."""
    size, order = rotations.shape[-1], range(len(rotations))
    for i in reversed(order) if back else order:
        turn = rotations[i].mT if back else rotations[i]
        pairs = x.unflatten(-1, (-1, 2, 2**i, size // 2)).transpose(-3, -2)
        turned = torch.einsum("...nb,nbc->...nc", pairs.flatten(-2).flatten(-3, -2), turn)
        x = turned.unflatten(-1, (2, size // 2)).unflatten(-3, (-1, 2**i)).transpose(-3, -2).flatten(-4)
    return x


class ButterflyLayer(WrappingLayer):
    """Wraps a Linear or a GPT-2 Conv1D (whose weight lies transposed)."""

    adapter_layer_names = ("butterfly_skew", "butterfly_scale")

    @override
    def new_parameters(self, config: ButterflyConfig) -> dict[str, torch.Tensor]:
        out, size = self.weight_rows().shape
        b = config.block_size
        skew = torch.zeros(config.factors, size // b, b * (b - 1) // 2)
        return {"butterfly_skew": skew, "butterfly_scale": torch.ones(out)}

    def weight_rows(self) -> torch.Tensor:
        """The wrapped weight as (out, in)."""
        base = self.get_base_layer()
        return base.weight.data.T if isinstance(base, Conv1D) else base.weight.data

    @override
    def adapted(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        dtype = x.dtype
        for name in self.live_adapters:
            rotations = cayley(self.butterfly_skew[name])
            x = rotate(self._cast_input_dtype(x, rotations.dtype), rotations)
        result = self.base_layer(x.to(dtype), *args, **kwargs)
        bias, total = self.get_base_layer().bias, result
        for name in self.live_adapters:  # written so that factors of 1 change no bit
            total = total + (self.butterfly_scale[name] - 1) * (total if bias is None else total - bias)
        return total.to(result.dtype)

    @torch.no_grad()
    @override
    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        for name in adapter_names or self.live_adapters:
            rotations, scale = cayley(self.butterfly_skew[name]), self.butterfly_scale[name]
            self.write(scale[:, None] * rotate(self.weight_rows().to(scale.dtype), rotations, back=True), safe_merge)
            self.merged_adapters.append(name)

    @torch.no_grad()
    @override
    def unmerge(self) -> None:
        while self.merged_adapters:
            name = self.merged_adapters.pop()
            rotations, scale = cayley(self.butterfly_skew[name]), self.butterfly_scale[name]
            self.write(rotate(self.weight_rows().to(scale.dtype) / scale[:, None], rotations), False)

    def write(self, rows: torch.Tensor, check: bool) -> None:
        """Replace the wrapped weight by rows (o, i). Raises ValueError (check) if they are not finite."""
        if check and not torch.isfinite(rows).all():
            raise ValueError("The merged weights are not finite: the adapter seems to be broken.")
        base = self.get_base_layer()
        value = rows.T.contiguous() if isinstance(base, Conv1D) else rows
        base.weight.data = value.to(base.weight.dtype)


class ButterflyModel(WrappingTuner):
    """Wraps linears in butterfly rotations."""

    prefix = "butterfly_"
    tuner_layer_cls = ButterflyLayer


register(ButterflyConfig.name, ButterflyConfig, ButterflyModel, ButterflyModel.prefix)
