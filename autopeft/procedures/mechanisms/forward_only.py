"""Training from losses alone: two forward passes, no graph, plain SGD on the estimate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.method import Method, Settings, get_method
from autopeft.methods.mechanisms.training import TrainingSession
from autopeft.procedures.mechanisms.procedure import Procedure

if TYPE_CHECKING:
    import numpy as np
    import torch

EPSILON = 1e-3  # how far the weights are moved to either side


class ForwardOnly(Procedure):
    """MeZO (Malladi et al. 2023, arXiv 2305.17333): theta -= rate * slope * z, and nothing is kept between steps.

    The slope is that of the loss along a direction z, which a subclass draws. As in the papers the estimate is neither
    normalised nor clipped, so that one step is as long as z says; the schedule of the rate is every procedure's.
    """

    clip = None
    stepping = "SGD without momentum, weight decay 0, nothing clipped"
    moments = 0

    def directions(self, session: TrainingSession, settings: Settings) -> dict[str, torch.Tensor]:
        """Draw a direction for each parameter of the run, by its name and in its shape."""
        raise NotImplementedError

    @override
    def refuses(self, methods: tuple[str, ...], shapes: BackboneShapes) -> str | None:
        for name in methods:
            if type(get_method(name)).callback is not Method.callback:
                return f"{name} reads the gradients of every step"
        return None

    @override
    def gradients(self, session: TrainingSession, rows: np.ndarray, settings: Settings) -> torch.Tensor:
        return estimate_gradients(session, rows, self.directions(session, settings))

    @override
    def optimiser(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        import torch

        return torch.optim.SGD(groups)

    @override
    def passes(self, settings: Settings) -> tuple[float, float]:
        return 2.0, 0.0  # the loss on both sides, and no graph


def estimate_gradients(session: TrainingSession, rows: np.ndarray, z: dict[str, torch.Tensor]) -> torch.Tensor:
    """Write into .grad the slope of the loss along a direction, times the direction (2305.17333, definition 1).

    The weights are moved to both sides and back in place: no copy of them is held, and they return up to rounding. A
    zero returns as zero, for what is added is rounded once: Sparse MeZO's mask of a matrix of zeros depends on it.

    Args:
        session: the running training.
        rows: row numbers of the train split (B,).
        z: the direction by the parameters' names; its tensors become the gradients.

    Returns:
        The mean of the two losses (1,).
    """
    import torch

    parameters, losses = session.parameters, []
    with torch.no_grad():
        for direction in z.values():
            direction.mul_(EPSILON)
        for move in (1, -2):
            for name, parameter in parameters.items():
                parameter.add_(z[name], alpha=move)
            losses.append(session.losses(rows))
        slope = (losses[0] - losses[1]) / (2 * EPSILON)
        for name, parameter in parameters.items():
            parameter.add_(z[name])
            parameter.grad = z[name].mul_(slope / EPSILON)
    return (losses[0] + losses[1]) / 2
