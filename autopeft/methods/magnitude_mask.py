"""The entries of smallest (PaFI) or of largest magnitude: a choice without data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import override

from autopeft.methods.mechanisms.method import Settings
from autopeft.methods.mechanisms.sparse import Sparse

if TYPE_CHECKING:
    import torch

    from autopeft.methods.mechanisms.statistics import Statistics


class MagnitudeMask(Sparse):
    """Scores an entry w by |w| (trained: largest) or -|w| (smallest)."""

    name = "magnitude_mask"
    title = "magnitude mask (PaFI)"
    family = "sparse"
    paper = "Liao et al. 2023, arXiv 2305.16742"
    hyperparameters = {**Sparse.hyperparameters, "trained": ("smallest", "largest")}
    defaults = {**Sparse.defaults, "trained": "smallest"}

    @override
    def scores(
        self,
        path: str,
        weight: torch.Tensor,
        settings: Settings,
        statistics: Statistics | None,
        generator: torch.Generator,
    ) -> torch.Tensor:
        return weight.abs() if settings["trained"] == "largest" else -weight.abs()
