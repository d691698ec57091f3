"""A budget as people write it -> a number of trainable parameters."""

import math
import re
from math import isfinite

from autopeft.base.errors import AutopeftError
from autopeft.base.quantities import NUMBER

SUFFIXES = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9}


def parse_budget(text: str | int | float | None, backbone_parameters: int) -> int | None:
    """Read a budget as people write it.

    Args:
        text: "0.5%" of the backbone's parameters, "300k", "1.5M" or a plain number; None means no limit.
        backbone_parameters: what a share is of.

    Raises:
        AutopeftError: it is zero, negative or no number.
    """
    if text is None:
        return None
    match = re.fullmatch(rf"({NUMBER})\s*([%kKmMbB]?)", str(text).strip())
    if not match or not math.isfinite(float(match[1]) * backbone_parameters * SUFFIXES["b"]):
        raise AutopeftError(
            f"The budget '{text}' is not a number: write a share of the backbone such as 0.5%, or a count such as 300k or 1.5M."
        )
    number, unit = float(match[1]), match[2].lower()
    if not isfinite(number) or (unit == "%" and number > 100):
        raise AutopeftError(
            f"The budget '{text}' is more than the backbone has: write a share up to 100%, or leave it out for no limit."
        )
    if number <= 0:
        raise AutopeftError(
            f"The budget '{text}' leaves nothing to train: write a share above zero such as 0.5%, or a count such as 300k."
        )
    found = int(number / 100 * backbone_parameters) if unit == "%" else int(number * SUFFIXES[unit])
    if found:
        return found
    meant = f"did you mean {number:g}%?" if not unit else "write a larger one."
    raise AutopeftError(f"The budget '{text}' comes to less than one of {backbone_parameters:,} parameters: {meant}")
