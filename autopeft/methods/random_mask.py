"""Entries drawn at random: what a choice of entries has to beat."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import override

from autopeft.methods.mechanisms.method import Settings
from autopeft.methods.mechanisms.sparse import Sparse

if TYPE_CHECKING:
    import torch

    from autopeft.methods.mechanisms.statistics import Statistics


class RandomMask(Sparse):
    """Scores every entry by a number drawn with the seed."""

    name = "random_mask"
    title = "random mask"
    family = "sparse"
    paper = "Xu and Zhang 2024, arXiv 2405.02596"

    @override
    def scores(
        self,
        path: str,
        weight: torch.Tensor,
        settings: Settings,
        statistics: Statistics | None,
        generator: torch.Generator,
    ) -> torch.Tensor:
        import torch

        return torch.rand(weight.shape, generator=generator)
