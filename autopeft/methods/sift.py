"""SIFT: the entries with the largest gradients before training, fixed from then on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import override

from autopeft.methods.mechanisms.method import Settings
from autopeft.methods.mechanisms.sparse import Sparse

if TYPE_CHECKING:
    import torch
    from peft import PeftConfig
    from torch import nn

    from autopeft.methods.mechanisms.statistics import Statistics


class Sift(Sparse):
    """Scores an entry by the size of its gradient, summed over the calibration rows."""

    name = "sift"
    title = "SIFT"
    family = "sparse"
    paper = "Song et al. 2023, arXiv 2312.11875"
    needs_statistics = True

    @override
    def before_attach(
        self,
        model: nn.Module,
        config: PeftConfig,
        settings: Settings,
        layers: tuple[int, ...],
        statistics: Statistics | None,
    ) -> None:
        assert statistics is not None  # attach gives them to a method that needs them
        statistics.gradient(f"{statistics.backbone.shapes.linears[0].path}.weight")  # while nothing is adapted

    @override
    def scores(
        self,
        path: str,
        weight: torch.Tensor,
        settings: Settings,
        statistics: Statistics | None,
        generator: torch.Generator,
    ) -> torch.Tensor:
        assert statistics is not None  # attach gives them to a method that needs them
        return statistics.gradient(f"{path}.weight").abs()
