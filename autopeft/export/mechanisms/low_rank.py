"""A peft config of LoRA's family -> what the toolkits with LoRA keys of their own need to know."""

from collections.abc import Mapping
from dataclasses import dataclass

from autopeft.export.mechanisms.toolkit import Case

KNOWN = {
    "peft_type",
    "r",
    "lora_alpha",
    "use_rslora",
    "use_dora",
    "init_lora_weights",
    "rank_pattern",
    "alpha_pattern",
    "target_modules",
}


@dataclass(frozen=True)
class LowRank:
    """LoRA, rsLoRA, DoRA, PiSSA ...: full module names, one rank, and the modules that have another. No dropout."""

    rank: int
    alpha: int
    rslora: bool
    dora: bool
    init: bool | str  # peft's init_lora_weights; True is LoRA's own
    targets: tuple[str, ...]
    ranks: Mapping[str, int]  # regular expression -> rank, of modules that have another
    alphas: Mapping[str, int]

    @classmethod
    def of(cls, case: Case) -> "LowRank | None":
        """None if the configuration is not of the family or has fields of its own."""
        fields = case.adapter_fields
        if fields["peft_type"] != "LORA" or set(fields) - KNOWN:
            return None
        return cls(
            fields["r"],
            fields["lora_alpha"],
            fields.get("use_rslora", False),
            fields.get("use_dora", False),
            fields.get("init_lora_weights", True),
            tuple(fields["target_modules"]),
            fields.get("rank_pattern", {}),
            fields.get("alpha_pattern", {}),
        )

    @property
    def uniform(self) -> bool:
        """One rank and one scale for all modules."""
        return not self.ranks and not self.alphas

    @property
    def plain(self) -> bool:
        """LoRA's own start, one rank: what LoRA keys without patterns hold."""
        return self.uniform and self.init is True

    def nearest_rank(self, case: Case) -> int:
        """The one rank whose number of trained parameters is nearest to the configuration's."""
        sizes = {x.path: x.in_features + x.out_features for x in case.shapes.linears}
        each = sum(sizes[path] for path in self.targets)
        magnitudes = sum(x.out_features for x in case.shapes.linears if self.dora and x.path in self.targets)
        return max(1, round((case.trainable - magnitudes) / each))
