"""Linears of an attached model -> linears whose weights and inputs are rounded, with straight-through gradients.

RoSTE, Wei et al. 2025, arXiv 2502.09003: y = Q(W R) Q(R x), R = identity or a Hadamard rotation, chosen per linear.
R is symmetric and orthogonal, so y = (Q(W R) R)(R Q(R x)): both factors are rounded in place, in the backbone's own
basis, and whatever reads the weight itself sees the rounded one. Shapes: W (o, i), x (..., i).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn
from transformers.pytorch_utils import Conv1D

from autopeft.procedures.mechanisms.innermost import module_at

if TYPE_CHECKING:
    from peft import PeftModel


Rotation = Callable[[torch.Tensor], torch.Tensor]

BLOCK = 256  # largest block of a rotation: dense products with small blocks beat a fast transform in Python
CALIBRATION = (8, 32)  # texts and tokens on which the rotations are chosen
CLIP = 0.95  # of a row's ends, as in the recipes of the paper
FULL = 16  # bits from which on nothing is rounded


@contextmanager
def quantised(
    model: PeftModel, paths: Iterable[str], weight_bits: int, activation_bits: int
) -> Iterator[dict[str, bool]]:
    """Round linears for the length of a with block.

    Args:
        model: the attached model.
        paths: the linears' module paths in the backbone.
        weight_bits: 16 leaves the weights as they are.
        activation_bits: 16 leaves the inputs as they are.

    Yields:
        Path -> whether that linear is rotated.
    """
    linears = {path: module_at(model, path) for path in paths}
    inputs = calibrate(model, linears)
    kept = {m: m.weight.data for m in linears.values() if not m.weight.requires_grad}
    rotated = {}
    try:
        for path, module in linears.items():
            rotate = best_rotation(matrix(module), inputs[path], weight_bits, activation_bits)
            rotated[path] = rotate is hadamard
            if module in kept:
                rounded = rotated_back(matrix(module).float(), rotate, weight_bits).to(module.weight.dtype)
                module.weight.data = rounded.T.contiguous() if isinstance(module, Conv1D) else rounded
            module.forward = rounding(module, rotate, weight_bits, activation_bits)
        yield rotated
    finally:
        for module in linears.values():
            vars(module).pop("forward", None)
        for module, weight in kept.items():
            module.weight.data = weight


def rounding(module: nn.Module, rotate: Rotation, weight_bits: int, activation_bits: int) -> Rotation:
    """The forward of a linear on rounded inputs; a weight that trains is rounded at every pass.

    Args:
        module: the linear.
        rotate: of inputs and weights before they are rounded.
        weight_bits: of the weights.
        activation_bits: of the inputs.

    Returns:
        Its new forward.
    """
    plain = module.forward

    def forward(x: torch.Tensor) -> torch.Tensor:
        x = straight_through(x, rotate, activation_bits)
        if not module.weight.requires_grad:
            return plain(x)
        return F.linear(x, straight_through(matrix(module), rotate, weight_bits), module.bias)

    return forward


def matrix(module: nn.Module) -> torch.Tensor:
    """The weight as (o, i): Conv1D stores the transpose."""
    return module.weight.T if isinstance(module, Conv1D) else module.weight


def straight_through(x: torch.Tensor, rotate: Rotation, bits: int) -> torch.Tensor:
    """Rounded x, with the gradient of x itself."""
    if bits >= FULL:
        return x
    rounded = rotated_back(x.detach().float(), rotate, bits).to(x.dtype)
    return x + (rounded - x).detach()


def rotated_back(x: torch.Tensor, rotate: Rotation, bits: int) -> torch.Tensor:
    """Rounded x: in the rotated basis, in its own basis."""
    return x if bits >= FULL else rotate(rounded(rotate(x), bits))


def rounded(x: torch.Tensor, bits: int) -> torch.Tensor:
    """Asymmetric rounding to 2^bits levels between the clipped ends of each row (an output of a weight, a token).

    0 is always among the levels, as in the quantiser of QuaRot (arXiv 2404.00456), on which the paper's rests.
    """
    levels = 2**bits - 1
    low, high = CLIP * x.amin(-1, keepdim=True).clamp(max=0), CLIP * x.amax(-1, keepdim=True).clamp(min=0)
    scale = ((high - low) / levels).clamp(min=torch.finfo(x.dtype).tiny)
    zero = (-low / scale).round()
    return ((x / scale).round() + zero).clamp(0, levels).sub(zero) * scale


def identity(x: torch.Tensor) -> torch.Tensor:
    """Return x as it is: no rotation."""
    return x


def hadamard(x: torch.Tensor) -> torch.Tensor:
    """Rotate the last axis (..., i) block by block; a block is the largest power of two that divides i, up to BLOCK."""
    size = min(x.shape[-1] & -x.shape[-1], BLOCK)
    return (x.unflatten(-1, (-1, size)) @ rotation(size, x.dtype, x.device)).flatten(-2)


@cache
def rotation(size: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Sylvester's Hadamard matrix (size, size), size a power of two, scaled to be orthogonal."""
    matrix = torch.ones(1, 1, dtype=dtype, device=device)
    while len(matrix) < size:
        matrix = torch.cat([torch.cat([matrix, matrix], 1), torch.cat([matrix, -matrix], 1)])
    return matrix * size**-0.5


@torch.no_grad()
def best_rotation(weight: torch.Tensor, x: torch.Tensor, weight_bits: int, activation_bits: int) -> Rotation:
    """Choose identity or hadamard, whichever leaves the smaller error in the output.

    Args:
        weight: (o, i).
        x: inputs (N, i).
        weight_bits: of the weights.
        activation_bits: of the inputs.
    """
    weight, x = weight.float(), x.float()
    exact = F.linear(x, weight)

    def error(rotate: Rotation) -> float:
        return (
            (F.linear(rotated_back(x, rotate, activation_bits), rotated_back(weight, rotate, weight_bits)) - exact)
            .norm()
            .item()
        )

    return min((identity, hadamard), key=error)


@torch.no_grad()
def calibrate(model: PeftModel, linears: dict[str, nn.Module]) -> dict[str, torch.Tensor]:
    """Path -> inputs (N, i) of each linear on tokens drawn at random: outlying features hardly depend on the text.

    The adapters are at their start here, in a resumed run too, so that it chooses the same rotations.
    """
    seen: dict[str, torch.Tensor] = {}

    def keep(path: str) -> Callable[[nn.Module, tuple], None]:
        def hook(_: nn.Module, given: tuple) -> None:
            seen[path] = given[0].flatten(0, -2)

        return hook

    hooks = [m.register_forward_pre_hook(keep(p)) for p, m in linears.items()]
    base = model.get_base_model()
    tokens = torch.randint(base.config.vocab_size, CALIBRATION, generator=torch.Generator().manual_seed(0))
    half = next(p.dtype for p in base.parameters() if not p.requires_grad) == torch.bfloat16
    try:
        with torch.autocast(base.device.type, torch.bfloat16, enabled=half):
            model(input_ids=tokens.to(base.device), attention_mask=torch.ones_like(tokens).to(base.device))
    finally:
        for hook in hooks:
            hook.remove()
    return seen
