"""Gradients from losses alone: two forward passes, no graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autopeft.methods.mechanisms.method import Method, get_method
from autopeft.methods.mechanisms.training import TrainingSession

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import torch

    Direction = Callable[[dict[str, torch.nn.Parameter]], dict[str, torch.Tensor]]  # parameters -> z, by name

EPSILON = 1e-3  # how far the weights are moved to either side


def estimate_gradients(session: TrainingSession, rows: np.ndarray, direction: Direction) -> torch.Tensor:
    """Write into .grad the slope of the loss along a direction z, times z (Malladi et al. 2023, 2305.17333, def. 1).

    The estimate is divided by |z|: it is then about as long as the gradient itself and not sqrt(number of parameters)
    times that, which the run would clip. The weights come back bit for bit.

    Args:
        session: the running training.
        rows: row numbers of the train split (B,).
        direction: parameters by name -> z by name, in their shapes.

    Returns:
        The mean of the two losses (1,).
    """
    import torch

    parameters = session.parameters
    with torch.no_grad():
        z = direction(parameters)
        start, losses = {name: p.clone() for name, p in parameters.items()}, []
        try:
            for side in (EPSILON, -EPSILON):
                for name, parameter in parameters.items():
                    torch.add(start[name], z[name], alpha=side, out=parameter)
                losses.append(session.losses(rows))
        finally:
            for name, parameter in parameters.items():
                parameter.copy_(start[name])
        slope = (losses[0] - losses[1]) / (2 * EPSILON)
        length = torch.stack([value.square().sum() for value in z.values()]).sum().sqrt()
        for name, parameter in parameters.items():
            parameter.grad = z[name] * (slope / length)
    return (losses[0] + losses[1]) / 2


def needs_gradients(methods: tuple[str, ...]) -> str | None:
    """Why a method cannot do with estimates: what it does between steps reads true gradients."""
    for name in methods:
        if type(get_method(name)).callback is not Method.callback:
            return f"{name} reads the gradients of every step"
    return None
