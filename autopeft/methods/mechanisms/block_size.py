"""Block sizes have to divide the widths of the modules they cut."""

import math
from collections.abc import Iterable


def admissible(asked: int, widths: Iterable[int]) -> int:
    """The largest size up to the one asked for that divides all the widths."""
    common = math.gcd(*widths)
    return next(size for size in range(min(asked, common), 0, -1) if common % size == 0)
