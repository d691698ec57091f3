"""SPT in full: matrices with many sensitive weights get a LoRA, of the others just those weights train."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.lora import ALPHA
from autopeft.methods.mechanisms.method import TARGETS, Settings
from autopeft.methods.mechanisms.rank_pattern import rank_pattern, share_out
from autopeft.methods.mechanisms.sparse import Sparse, among_largest
from autopeft.methods.mechanisms.work import Place, Work, chain, weight_gradient

if TYPE_CHECKING:
    import torch
    from peft import PeftConfig
    from torch import nn

    from autopeft.methods.mechanisms.statistics import Statistics


BAR = 10  # a matrix gets a LoRA when the weights selected in it reach a tenth of what that costs (the authors' number)
NOTHING = "dummy-target-modules"  # how peft writes that a config has no target


class SptHybrid(Sparse):
    """The budget is `share` of what a LoRA of that rank in every chosen matrix would train, and it is met exactly.

    The weights with the largest squared gradients are selected one after the other, over all matrices. Once the next
    matrix that reaches the bar would cost more than is left, the rest of the budget goes to the most sensitive
    weights outside the LoRAs. The papers' whole vectors (biases, norms) are left out.
    """

    name = "spt_hybrid"
    title = "SPT (LoRA and single weights)"
    family = "low rank"
    paper = "He et al. 2023, arXiv 2303.08566"
    hyperparameters = {"rank": (2, 4, 8, 16), "share": (0.25, 0.5, 0.75), "target_modules": TARGETS}
    defaults = {"rank": 8, "share": 0.5, "target_modules": "all-linear"}
    needs_statistics = True

    def ranks(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        """Module path -> rank of its LoRA, which never trains more numbers than the matrix has."""
        chosen = shapes.select(settings["target_modules"], layers)
        room = {x.path: x.in_features * x.out_features // (x.in_features + x.out_features) for x in chosen}
        return {path: max(1, min(settings["rank"], most)) for path, most in room.items()}

    def prices(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        """Module path -> what its LoRA trains."""
        sizes = {x.path: x.in_features + x.out_features for x in shapes.select(settings["target_modules"], layers)}
        return {path: rank * sizes[path] for path, rank in self.ranks(settings, layers, shapes).items()}

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        """The sum is exact; a module's part is that by its price, since the data decide what it gets."""
        prices = self.prices(settings, layers, shapes)
        return dict(zip(prices, share_out(round(settings["share"] * sum(prices.values())), list(prices.values()))))

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        """Before the data have spoken: nothing but single weights, each matrix its part."""
        numbers = self.count(settings, layers, shapes)
        return {"peft_type": "COMBINATION", "parts": parts(settings, {}, numbers)}

    @override
    def refuses_company(self, other: str) -> str | None:
        return "SPT reads what it trains off the bare backbone's gradients: leave spt_hybrid out"

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
        shapes = statistics.backbone.shapes
        prices, ranks = self.prices(settings, layers, shapes), self.ranks(settings, layers, shapes)
        squares = {path: statistics.squared_gradient(f"{path}.weight").flatten() for path in prices}
        structured, numbers = divide(prices, squares, sum(self.count(settings, layers, shapes).values()))
        config.parts = parts(settings, {path: ranks[path] for path in structured}, numbers)

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
        return statistics.squared_gradient(f"{path}.weight")

    @override
    def work(self, settings: Settings, place: Place) -> Work:
        """About `share` of the matrices get a LoRA, and of the others the gradient of the whole weight is made."""
        whole = weight_gradient(place)
        low_rank = chain(place.tokens, place.inputs, settings["rank"], place.outputs)
        share = settings["share"]
        parts = ((low_rank, share), (whole, 1 - share))
        forward, backward, into, saved = (
            round(sum(getattr(w, name) * part for w, part in parts))
            for name in ("forward", "backward", "input_gradient", "saved")
        )
        return Work(forward, backward, into, saved)

    @override
    def stored(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        """At most: as many as there are single weights, which the data decide."""
        return {"indices": 4 * sum(self.count(settings, layers, shapes).values())}


def parts(settings: Settings, ranks: Mapping[str, int], numbers: Mapping[str, int]) -> list[dict]:
    """Module path -> rank, and module path -> number of single weights: the fields of the two adapters."""
    lora = {
        "peft_type": "LORA",
        "r": settings["rank"],
        "rank_pattern": rank_pattern(ranks, settings["rank"]),
        "lora_alpha": ALPHA,
        "target_modules": list(ranks) or NOTHING,
    }
    return [lora, {"peft_type": "SPARSE", "numbers": dict(numbers), "target_modules": list(numbers)}]


def divide(prices: Mapping[str, int], squares: Mapping, number: int) -> tuple[list[str], dict[str, int]]:
    """The matrices that get a LoRA, and of each other one how many weights train: `number` numbers in all.

    prices: what each LoRA trains, no more than its matrix has weights, and together more than `number`. squares: the
    squared gradients (n,) of each.
    """
    bars = {path: squares[path].topk(-(-price // BAR)).values[-1].item() for path, price in prices.items()}
    order = sorted(prices, key=lambda path: -bars[path])  # in which matrices reach the bar as weights are selected

    def spent(first: int) -> int:
        """Numbers that train when the last of the first so many matrices has just reached the bar."""
        level = bars[order[first - 1]]
        single = sum(int((squares[path] >= level).sum()) for path in order[first:])
        return sum(prices[path] for path in order[:first]) + single

    first = bisect_right(range(1, len(order) + 1), number, key=spent)
    structured, others = order[:first], order[first:]
    left = number - sum(prices[path] for path in structured)
    return structured, among_largest({path: squares[path] for path in others}, left)
