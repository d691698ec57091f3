"""The product with a matrix of which only k entries are trained: nothing of the matrix's size outlives a pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from typing_extensions import override


def dense(
    values: torch.Tensor, indices: torch.Tensor, shape: torch.Size, onto: torch.Tensor | None = None
) -> torch.Tensor:
    """Put values at their places in a matrix.

    Args:
        values: (k,).
        indices: flat indices of the matrix, (k,).
        shape: of the matrix.
        onto: a matrix to add them to; zeros if None.

    Returns:
        The sum, of that shape.
    """
    onto = values.new_zeros(shape[0] * shape[1]) if onto is None else onto.flatten()
    return onto.index_add(0, indices, values).view(shape)


def top(scores: torch.Tensor, number: int) -> torch.Tensor:
    """Flat indices (number,) of the largest entries, ascending."""
    return scores.flatten().topk(number).indices.sort().values


class SparseLinear(torch.autograd.Function):
    """x (..., i) -> x (W + D)^T + b (..., o), D (o, i) given by values and indices; W and D (i, o) if transposed.

    W and b may be None. observe: called in the backward pass with D's dense gradient, which no one else sees.
    """

    generate_vmap_rule = True

    @staticmethod
    @override
    def forward(
        x: torch.Tensor,
        values: torch.Tensor,
        indices: torch.Tensor,
        weight: torch.Tensor | None,
        bias: torch.Tensor | None,
        shape: torch.Size,
        transposed: bool,
        observe: Callable[[torch.Tensor], object] | None,
    ) -> torch.Tensor:
        total = dense(values, indices, shape, weight).to(x.dtype)
        return F.linear(x, total.T if transposed else total, bias)

    @staticmethod
    @override
    def setup_context(ctx: Any, inputs: tuple, output: torch.Tensor) -> None:
        x, values, indices, weight, _, ctx.shape, ctx.transposed, ctx.observe = inputs
        ctx.save_for_backward(x, values, indices, weight)

    @staticmethod
    @override
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, values, indices, weight = ctx.saved_tensors
        upstream, along, taken = upstream.to(x.dtype), None, None
        if ctx.needs_input_grad[0]:
            total = dense(values, indices, ctx.shape, weight).to(x.dtype)
            along = upstream @ (total.T if ctx.transposed else total)
        if ctx.needs_input_grad[1]:
            given, wanted = x.flatten(0, -2), upstream.flatten(0, -2)
            gradient = given.T @ wanted if ctx.transposed else wanted.T @ given
            if ctx.observe:
                ctx.observe(gradient)
            taken = gradient.flatten().index_select(0, indices).to(values.dtype)
        return along, taken, None, None, None, None, None, None
