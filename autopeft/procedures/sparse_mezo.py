"""Sparse MeZO: forward passes only, and only the smallest weights of each matrix are moved. Imports no torch."""

from collections.abc import Mapping

from typing_extensions import override

from autopeft.procedures.mechanisms.draws import torch_generator
from autopeft.procedures.mechanisms.forward_only import estimate_gradients, needs_gradients
from autopeft.procedures.mechanisms.procedure import Procedure


class SparseMezo(Procedure):
    """z ~ N(0, 1) where |weight| is among the smallest 1 - sparsity of its tensor, else 0; dense in the head.

    The paper fixes each threshold at the start. Here it is the quantile of the tensor as it is: adapters begin with
    matrices of zeros, whose threshold would stay 0, and none of their weights would ever move again.
    """

    name = "sparse_mezo"
    title = "Sparse MeZO"
    paper = "Liu et al. 2024, arXiv 2402.15751"
    hyperparameters = {"sparsity": (0.0, 0.5, 0.75)}
    defaults = {"sparsity": 0.75}

    def refuses(self, methods, shapes):
        return needs_gradients(methods)

    def gradients(self, session, rows, settings):
        head = session.trainer.backbone.shapes.head_modules
        return estimate_gradients(session, rows, lambda p: sparse_noise(session, p, settings["sparsity"], head))

    @override
    def passes(self, settings: Mapping) -> tuple[float, float]:
        return 2.0, 0.0  # the loss on both sides, and no graph


def sparse_noise(session, parameters: dict, sparsity: float, head_modules) -> dict:
    """z by name, drawn from the job's seed and step."""
    import torch

    from autopeft.methods.mechanisms.attach import is_head

    device = next(iter(parameters.values())).device
    generator, z = torch_generator(session, device, session.run.step), {}
    for name, parameter in parameters.items():
        z[name] = torch.randn(parameter.shape, generator=generator, device=device)
        if sparsity and parameter.numel() and not is_head(name, head_modules):
            size = parameter.abs()
            kept = max(1, round((1 - sparsity) * size.numel()))
            z[name] *= size <= size.flatten().kthvalue(kept).values
    return z
