"""SPT: LoRA whose ranks go where the task's gradients are, under a fixed total. Imports no torch.

He et al. 2023 allocate a budget of weights by accumulated squared gradients: a matrix with many of the most sensitive
weights gets a LoRA, another has just those weights trained (`spt_hybrid`). Here every chosen matrix gets a LoRA, at
least of rank 1, and its share of the most sensitive weights decides how far beyond. Ranks move between matrices of
equal i + o, of which a rank costs the same, so the mean rank is all that the number of trained parameters depends on.
"""

from autopeft.methods.lora import ALPHA
from autopeft.methods.mechanisms.low_rank import LowRank
from autopeft.methods.mechanisms.method import TARGETS
from autopeft.methods.mechanisms.rank_pattern import price_classes, rank_pattern, share_out
from autopeft.methods.mechanisms.sparse import among_largest


class Spt(LowRank):
    """The count is exact in sum; per module it is that of the mean rank, since the data decide the ranks themselves."""

    name = "spt"
    title = "SPT-LoRA"
    paper = "He et al. 2023, arXiv 2303.08566"
    hyperparameters = {"rank": (2, 4, 8, 16), "target_modules": TARGETS}  # the mean rank: 1 leaves nothing to move
    defaults = {"rank": 4, "target_modules": "all-linear"}
    learning_rate = (1e-4, 2e-2)
    needs_statistics = True

    def peft_fields(self, settings, layers, shapes):
        return {
            "peft_type": "LORA",
            "r": settings["rank"],
            "lora_alpha": ALPHA,
            "target_modules": [x.path for x in shapes.select(settings["target_modules"], layers)],
        }

    def refuses_company(self, other):
        return "SPT reads its ranks off the bare backbone's gradients: leave spt out"

    def before_attach(self, model, config, settings, layers, statistics):
        """Write the ranks into the config, where a saved adapter has them too."""
        linears = statistics.backbone.shapes.select(settings["target_modules"], layers)
        sensitive = sensitive_weights(
            statistics, linears, sum(self.count(settings, layers, statistics.backbone.shapes).values())
        )
        config.rank_pattern = rank_pattern(allocate(linears, sensitive, settings["rank"]), settings["rank"])


def sensitive_weights(statistics, linears, number: int) -> dict[str, int]:
    """Module path -> how many of the `number` weights with the largest squared gradients lie in it (eq. 4)."""
    squares = {x.path: statistics.squared_gradient(f"{x.path}.weight").flatten() for x in linears}
    return among_largest(squares, number)


def allocate(linears, sensitive: dict[str, int], mean: int) -> dict[str, int]:
    """Module path -> rank, at least 1, by the number of sensitive weights; each price class keeps its mean rank."""
    ranks = {}
    for members in price_classes(linears).values():
        shares = share_out(mean * len(members), [sensitive[x.path] for x in members])
        ranks |= {x.path: rank for x, rank in zip(members, shares)}
    return ranks
