"""The learning rate over the steps of a full training."""

import math
from collections.abc import Callable


def schedule(name: str, warmup: float) -> Callable[[int, int], float]:
    """A linear rise, then a constant, a linear fall to zero or half a cosine.

    "linear" with the default warm-up is what the search trains with.

    Args:
        name: "constant", "linear" or "cosine".
        warmup: The share of the steps in which the learning rate rises.

    Returns:
        (step from 0, steps) -> the share of the learning rate at that step.
    """

    def factor(step: int, steps: int) -> float:
        rise = max(1, round(warmup * steps))
        if step < rise:
            return (step + 1) / rise
        left = (steps - step) / max(1, steps - rise)
        return {"constant": 1.0, "linear": left, "cosine": (1 - math.cos(math.pi * left)) / 2}[name]

    return factor
