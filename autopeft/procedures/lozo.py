"""LOZO: forward passes only, along directions of low rank."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import override

from autopeft.methods.mechanisms.method import Settings
from autopeft.methods.mechanisms.training import TrainingSession
from autopeft.procedures.mechanisms.draws import torch_generator
from autopeft.procedures.mechanisms.forward_only import ForwardOnly

if TYPE_CHECKING:
    import numpy as np
    import torch


LEFT, RIGHT = 0, 1  # what a generator is for


class Lozo(ForwardOnly):
    """z = U V^T for a matrix (m, n): U (m, r) is new at every step, V (n, r) every `interval` steps.

    The update is rate * slope * z / r, of rank r as z is (the paper's eq. 4 and algorithm 1). V is drawn again from the
    job's seed and the number of its period wherever it is needed, so there is no state. Vectors get a full z ~ N(0, 1).
    """

    name = "lozo"
    title = "LOZO"
    paper = "Chen et al. 2024, arXiv 2410.07698"
    hyperparameters = {"rank": (1, 2, 4), "interval": (10, 50)}
    defaults = {"rank": 2, "interval": 50}

    @override
    def directions(self, session: TrainingSession, settings: Settings) -> dict[str, torch.Tensor]:
        return low_rank_noise(session, session.parameters, **settings)

    @override
    def gradients(self, session: TrainingSession, rows: np.ndarray, settings: Settings) -> torch.Tensor:
        loss = super().gradients(session, rows, settings)
        for parameter in session.parameters.values():
            if parameter.ndim > 1 and parameter.grad is not None:
                parameter.grad /= settings["rank"]
        return loss


def low_rank_noise(session: TrainingSession, parameters: dict, rank: int, interval: int) -> dict:
    """Draw directions of at most that rank for every matrix.

    Args:
        session: the run.
        parameters: what is trained, by name.
        rank: r, the rank of the directions.
        interval: steps between two draws of V.

    Returns:
        Name -> z, of the parameter's shape.
    """
    import torch

    device, step = next(iter(parameters.values())).device, session.step
    left = torch_generator(session, device, step, LEFT)
    right = torch_generator(session, device, step // interval, RIGHT)
    z = {}
    for name, parameter in parameters.items():
        if parameter.ndim < 2:
            z[name] = torch.randn(parameter.shape, generator=left, device=device)
            continue
        m, n = parameter.shape[0], parameter[0].numel()
        u = torch.randn(m, rank, generator=left, device=device)
        v = torch.randn(n, rank, generator=right, device=device)
        z[name] = (u @ v.T).view(parameter.shape)
    return z
