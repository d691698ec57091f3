"""LIFT: the principal weights, those that stay large when a matrix is reduced to a low rank."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import override

from autopeft.methods.mechanisms.callback import Callback
from autopeft.methods.mechanisms.method import Settings
from autopeft.methods.mechanisms.reselection import Reselection
from autopeft.methods.mechanisms.sparse import Sparse
from autopeft.methods.mechanisms.training import TrainingSession

if TYPE_CHECKING:
    import torch

    from autopeft.methods.mechanisms.statistics import Statistics


OVERSAMPLING, ITERATIONS = 8, 4


class Lift(Sparse):
    """Chosen before training; with `refresh` again after that many steps, from the weights as they then are.

    An entry that is not chosen again returns to its pre-trained value (the paper keeps what it has learnt), so that
    the delta never holds more than its k numbers.
    """

    name = "lift"
    title = "LIFT"
    family = "sparse"
    paper = "Liu et al. 2025, arXiv 2506.00772"
    hyperparameters = {**Sparse.hyperparameters, "filter_rank": (8, 32, 128), "refresh": (0, 20, 100)}
    defaults = {**Sparse.defaults, "filter_rank": 32, "refresh": 0}

    @override
    def scores(
        self,
        path: str,
        weight: torch.Tensor,
        settings: Settings,
        statistics: Statistics | None,
        generator: torch.Generator,
    ) -> torch.Tensor:
        return low_rank(weight.float(), settings["filter_rank"]).abs()

    @override
    def callback(self, session: TrainingSession, settings: Settings) -> Callback | None:
        return Refresh(session, settings) if settings["refresh"] else None


class Refresh(Reselection):
    """Choose the principal weights anew; what stays chosen keeps its value, moments and age."""

    @override
    def before_forward(self, step: int) -> None:
        from autopeft.methods.mechanisms.sparse_product import top

        if step and step % self.settings["refresh"] == 0:
            for entries in self.entries:
                reduced = low_rank(entries.weight.float() + entries.delta(), self.settings["filter_rank"])
                entries.move(top(reduced.abs(), entries.number))


def low_rank(weight: torch.Tensor, rank: int) -> torch.Tensor:
    """A matrix (m, n) -> nearly its best approximation of that rank, by subspace iteration from a fixed start.

    Halko et al. 2009, arXiv 0909.4061, algorithms 4.4 and 5.1.
    """
    import torch

    width = min(rank + OVERSAMPLING, *weight.shape)
    start = torch.randn(weight.shape[1], width, generator=torch.Generator().manual_seed(0)).to(weight.device)
    basis = torch.linalg.qr(weight @ start).Q
    for _ in range(ITERATIONS):
        basis = torch.linalg.qr(weight @ torch.linalg.qr(weight.T @ basis).Q).Q
    u, s, v = torch.linalg.svd(basis.T @ weight, full_matrices=False)
    return basis @ (u[:, :rank] * s[:rank]) @ v[:rank]
