"""A budget as people write it -> a number of trainable parameters."""

import re

from autopeft.base.errors import AutopeftError

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
    match = re.fullmatch(r"\s*([-+]?\d*\.?\d+(?:[eE][-+]?\d+)?)\s*([%kKmMbB]?)\s*", str(text))
    if not match:
        raise AutopeftError(
            f"The budget '{text}' is not a number: write a share of the backbone such as 0.5%, or a count such as 300k or 1.5M."
        )
    number, unit = float(match[1]), match[2].lower()
    if number <= 0:
        raise AutopeftError(
            f"The budget '{text}' leaves nothing to train: write a share above zero such as 0.5%, or a count such as 300k."
        )
    return int(number / 100 * backbone_parameters) if unit == "%" else int(number * SUFFIXES[unit])
