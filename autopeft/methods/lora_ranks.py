"""LoRA with ranks of a shape: one mean rank for attention and one for the FFN, spread over the layers."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from typing_extensions import override

from autopeft.backbone.shapes import GROUPS, BackboneShapes
from autopeft.methods.lora import ALPHA
from autopeft.methods.mechanisms.method import Method, Settings
from autopeft.methods.mechanisms.rank_pattern import rank_pattern, share_out

# The layer with the most gets four times what the one with the least gets, as in MoLA (2, 4, 6 and 8 experts).
LEAST, MOST = 0.4, 1.6
PROFILES = {  # place among the adapted layers, 0 the lowest and 1 the highest -> weight between 0 and 1
    "uniform": lambda place: 0.5,
    "rising": lambda place: place,
    "falling": lambda place: 1 - place,
    "middle": lambda place: 1 - abs(2 * place - 1),
}


class LoraRanks(Method):
    """Whatever the profile, the ranks of a role sum to its mean rank times the number of adapted layers."""

    name = "lora_ranks"
    title = "LoRA with shaped ranks"
    family = "low rank"
    paper = "Gao et al. 2024, arXiv 2402.08562 (shapes over the layers); LoRA: Hu et al. 2021, arXiv 2106.09685"
    hyperparameters = {"attention_rank": (2, 4, 8, 16), "ffn_rank": (2, 4, 8, 16), "profile": tuple(PROFILES)}
    defaults = {"attention_rank": 8, "ffn_rank": 8, "profile": "rising"}
    learning_rate = (1e-4, 2e-2)
    mergeable = True

    def ranks(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        """Module path -> rank."""
        ffn, attention = (
            dict(zip(layers, spread(settings[mean], len(layers), settings["profile"])))
            for mean in ("ffn_rank", "attention_rank")
        )
        return {
            x.path: (ffn if x.role in GROUPS["ffn"] else attention)[x.layer]
            for x in shapes.select("all-linear", layers)
        }

    @override
    def count(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, int]:
        ranks = self.ranks(settings, layers, shapes)
        return {x.path: ranks[x.path] * (x.in_features + x.out_features) for x in shapes.select("all-linear", layers)}

    @override
    def peft_fields(self, settings: Settings, layers: tuple[int, ...], shapes: BackboneShapes) -> dict[str, Any]:
        ranks = self.ranks(settings, layers, shapes)
        return {
            "peft_type": "LORA",
            "r": settings["attention_rank"],
            "rank_pattern": rank_pattern(ranks, settings["attention_rank"]),
            "lora_alpha": ALPHA,
            "target_modules": list(ranks),
        }


@lru_cache
def spread(mean: int, layers: int, profile: str) -> tuple[int, ...]:
    """Ranks of the adapted layers from the lowest up; their mean is `mean`, each at least 1."""
    places = [k / (layers - 1) for k in range(layers)] if layers > 1 else [0.5]
    return tuple(share_out(mean * layers, [LEAST + (MOST - LEAST) * PROFILES[profile](place) for place in places]))
