"""The ladder a trial climbs: how many steps and how many validation rows each rung has. Imports no torch."""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from autopeft.base.errors import AutopeftError

LEAST_ROWS = Fraction(1, 3)  # share of the validation rows that the lowest rung scores at least


@dataclass(frozen=True)
class Rung:
    """Steps from the beginning of the run, and the validation rows scored there."""

    steps: int
    rows: int


def ladder(rungs: str, full_steps: int, validation_rows: int) -> tuple[Rung, ...]:
    """ "1/4,1/2" of 64 steps -> rungs at 16, 32 and 64 steps; "none" -> the full length only.

    Raises AutopeftError for a share that is not between 0 and 1.
    """
    shares = {Fraction(1)} if rungs == "none" else {*map(_share, rungs.split(",")), Fraction(1)}
    found = {max(1, round(share * full_steps)): share for share in sorted(shares)}
    return tuple(Rung(s, ceil(validation_rows * max(share, LEAST_ROWS))) for s, share in found.items())


def _share(text: str) -> Fraction:
    try:
        share = Fraction(text.strip())
    except (ValueError, ZeroDivisionError):
        share = Fraction(0)
    if not 0 < share <= 1:
        raise AutopeftError(
            f"'{text.strip()}' in rungs is no share between 0 and 1: write shares of full_steps such as 1/4,1/2, or none."
        )
    return share
