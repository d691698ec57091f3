"""Sparse MeZO: forward passes only, and only the smallest weights of each matrix are moved."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from typing_extensions import override

from autopeft.methods.mechanisms.method import Settings
from autopeft.methods.mechanisms.training import TrainingSession
from autopeft.procedures.mechanisms.draws import torch_generator
from autopeft.procedures.mechanisms.forward_only import ForwardOnly

if TYPE_CHECKING:
    import torch


class SparseMezo(ForwardOnly):
    """z ~ N(0, 1) where |weight| is among the smallest 1 - sparsity of its tensor, else 0; dense in the head.

    The paper fixes each threshold at the start. Here it is the quantile of the tensor as it is: adapters begin with
    matrices of zeros, whose threshold would stay 0, and none of their weights would ever move again.
    """

    name = "sparse_mezo"
    title = "Sparse MeZO"
    paper = "Liu et al. 2024, arXiv 2402.15751"
    hyperparameters = {"sparsity": (0.0, 0.5, 0.75)}
    defaults = {"sparsity": 0.75}

    @override
    def directions(self, session: TrainingSession, settings: Settings) -> dict[str, torch.Tensor]:
        return sparse_noise(session, session.parameters, settings["sparsity"], session.shapes.head_modules)


def sparse_noise(session: TrainingSession, parameters: dict, sparsity: float, head_modules: Iterable[str]) -> dict:
    """Draw directions that move the smallest weights only.

    Args:
        session: the run, whose seed and step decide the draw.
        parameters: what is trained, by name.
        sparsity: the share of each tensor that does not move.
        head_modules: paths of the task head, which moves as a whole.

    Returns:
        Name -> z, of the parameter's shape.
    """
    import torch

    from autopeft.methods.mechanisms.attach import is_head

    device = next(iter(parameters.values())).device
    generator, z = torch_generator(session, device, session.step), {}
    for name, parameter in parameters.items():
        z[name] = torch.randn(parameter.shape, generator=generator, device=device)
        if sparsity and parameter.numel() and not is_head(name, head_modules):
            size = parameter.abs()
            kept = max(1, round((1 - sparsity) * size.numel()))
            z[name] *= size <= size.flatten().kthvalue(kept).values
    return z
