"""The rungs of a search: at which shares of the full length trials are compared, in steps and validation rows."""

import re
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from autopeft.base.errors import AutopeftError

NO_RUNGS = "none"  # trains everything to the end
SHARE = re.compile(r"[\d./]{1,40}")  # no exponent: Fraction works out all the digits of 1e-999999999
LEAST_ROWS = Fraction(1, 3)  # share of the validation rows that the lowest rung scores at least


@dataclass(frozen=True)
class Rung:
    """Steps from the beginning of the run, and the validation rows scored there."""

    steps: int
    rows: int


def shares_of(text: str) -> tuple[Fraction, ...]:
    """Read rungs as rising shares of the full length, which is always the last.

    Args:
        text: "1/4,1/2" -> (1/4, 1/2, 1), and so does "1/4,1/2,1"; "none" -> (1,).

    Raises:
        AutopeftError: A share is not above 0 and at most 1.
    """
    shares = [] if text.strip() == NO_RUNGS else [_share(part.strip()) for part in text.split(",")]
    return tuple(sorted({*shares, Fraction(1)}))


def rungs_of(rungs: str, full_steps: int, validation_rows: int) -> tuple[Rung, ...]:
    """The rungs of a run: "1/4,1/2" of 64 steps -> rungs at 16, 32 and 64 steps; "none" -> the full length only.

    Args:
        rungs: Shares of the full length, as `shares_of` reads them.
        full_steps: The full length, in steps.
        validation_rows: Rows of the whole validation split.

    Raises:
        AutopeftError: A share is not above 0 and at most 1.
    """
    found = {max(1, round(share * full_steps)): share for share in shares_of(rungs)}
    return tuple(Rung(s, ceil(validation_rows * max(share, LEAST_ROWS))) for s, share in found.items())


def _share(text: str) -> Fraction:
    try:
        share = Fraction(text) if SHARE.fullmatch(text) else Fraction(0)
    except (ValueError, ZeroDivisionError):
        share = Fraction(0)
    if not 0 < share <= 1:
        raise AutopeftError(
            f"'{text}' in rungs is no share between 0 and 1: write shares of the full length such as 1/4,1/2, or none."
        )
    return share
