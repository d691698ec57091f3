"""LT-SFT: the entries that move furthest in a short full fine-tuning, which is then taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.method import Settings
from autopeft.methods.mechanisms.sparse import Sparse, among_largest

if TYPE_CHECKING:
    import torch
    from peft import PeftConfig
    from torch import nn

    from autopeft.methods.mechanisms.statistics import Statistics


class LtSft(Sparse):
    """The furthest of all adapted weights together, so a matrix may get many of them or none."""

    name = "lt_sft"
    title = "LT-SFT"
    family = "sparse"
    paper = "Ansell et al. 2021, arXiv 2110.07560"
    needs_statistics = True

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        return {"the adapted weights together": sum(super().count(settings, layers, shapes).values())}

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
        counts = super().count(settings, layers, statistics.backbone.shapes)
        moved = {path: statistics.change(f"{path}.weight").abs().flatten() for path in counts}
        numbers = among_largest(moved, sum(counts.values()))
        if parts := getattr(config, "parts", None):  # of a combination
            next(part for part in parts if part["peft_type"] == "SPARSE")["numbers"] = numbers
        else:
            config.numbers = numbers

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
        return statistics.change(f"{path}.weight").abs()
