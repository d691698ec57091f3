"""SPT: LoRA whose ranks go where the task's gradients are, under a fixed total.

He et al. 2023 allocate a budget of weights by accumulated squared gradients: a matrix with many of the most sensitive
weights gets a LoRA, another has just those weights trained (`spt_hybrid`). Here every chosen matrix gets a LoRA, at
least of rank 1, and its share of the most sensitive weights decides how far beyond. Ranks move between matrices of
equal i + o, of which a rank costs the same, so the mean rank is all that the number of trained parameters depends on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes, Linear
from autopeft.methods.lora import ALPHA
from autopeft.methods.mechanisms.low_rank import LowRank
from autopeft.methods.mechanisms.method import TARGETS, Settings
from autopeft.methods.mechanisms.rank_pattern import price_classes, rank_pattern, share_out
from autopeft.methods.mechanisms.sparse import among_largest

if TYPE_CHECKING:
    from peft import PeftConfig
    from torch import nn

    from autopeft.methods.mechanisms.statistics import Statistics


class Spt(LowRank):
    """The count is exact in sum; per module it is that of the mean rank, since the data decide the ranks themselves."""

    name = "spt"
    title = "SPT-LoRA"
    family = "low rank"
    paper = "He et al. 2023, arXiv 2303.08566"
    hyperparameters = {"rank": (2, 4, 8, 16), "target_modules": TARGETS}  # the mean rank: 1 leaves nothing to move
    defaults = {"rank": 4, "target_modules": "all-linear"}
    learning_rate = (1e-4, 2e-2)
    needs_statistics = True

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        return {
            "peft_type": "LORA",
            "r": settings["rank"],
            "lora_alpha": ALPHA,
            "target_modules": [x.path for x in shapes.select(settings["target_modules"], layers)],
        }

    @override
    def refuses_company(self, other: str) -> str | None:
        return "SPT reads its ranks off the bare backbone's gradients: leave spt out"

    @override
    def before_attach(
        self,
        model: nn.Module,
        config: PeftConfig,
        settings: Settings,
        layers: tuple[int, ...],
        statistics: Statistics | None,
    ) -> None:
        """Write the ranks into the config, where a saved adapter has them too."""
        assert statistics is not None  # attach gives them to a method that needs them
        linears = statistics.backbone.shapes.select(settings["target_modules"], layers)
        sensitive = sensitive_weights(
            statistics, linears, sum(self.count(settings, layers, statistics.backbone.shapes).values())
        )
        config.rank_pattern = rank_pattern(allocate(linears, sensitive, settings["rank"]), settings["rank"])


def sensitive_weights(statistics: Statistics, linears: Sequence[Linear], number: int) -> dict[str, int]:
    """Module path -> how many of the `number` weights with the largest squared gradients lie in it (eq. 4)."""
    squares = {x.path: statistics.squared_gradient(f"{x.path}.weight").flatten() for x in linears}
    return among_largest(squares, number)


def allocate(linears: Sequence[Linear], sensitive: dict[str, int], mean: int) -> dict[str, int]:
    """Module path -> rank, at least 1, by the number of sensitive weights; each price class keeps its mean rank."""
    ranks: dict[str, int] = {}
    for members in price_classes(linears).values():
        shares = share_out(mean * len(members), [sensitive[x.path] for x in members])
        ranks |= {x.path: rank for x, rank in zip(members, shares)}
    return ranks
