"""How a sum of ranks is shared out between modules, and the rank_pattern that tells peft."""

import re
from collections.abc import Iterable, Mapping, Sequence

from autopeft.backbone.shapes import Linear


def share_out(total: int, weights: Sequence[float]) -> list[int]:
    """Whole ranks that sum to `total`: one for each weight, and the rest by weight.

    One at least, because peft takes no rank of 0. The rest goes by largest remainders, ties to the first.

    Args:
        total: no less than the number of weights.
        weights: (N,), at least 0.

    Returns:
        Ranks (N,).
    """
    whole, rest = sum(weights), total - len(weights)
    shares = [rest * w / whole if whole else rest / len(weights) for w in weights]
    ranks = [1 + int(share) for share in shares]
    order = sorted(range(len(ranks)), key=lambda k: int(shares[k]) - shares[k])
    for k in order[: total - sum(ranks)]:
        ranks[k] += 1
    return ranks


def price_classes(linears: Iterable[Linear]) -> dict[int, list[Linear]]:
    """Linears by i + o, which is what one rank of theirs costs: ranks may move between them and the total stays as it was."""
    classes: dict[int, list[Linear]] = {}
    for x in linears:
        classes.setdefault(x.in_features + x.out_features, []).append(x)
    return classes


def rank_pattern(ranks: Mapping[str, int], default: int) -> dict[str, int]:
    """Module path -> rank as peft's `rank_pattern`, without the modules that have the default rank `r`.

    peft takes its keys for regular expressions, in which the dots of a path would match anything.
    """
    return {re.escape(path): rank for path, rank in ranks.items() if rank != default}
