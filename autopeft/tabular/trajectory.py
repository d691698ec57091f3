"""How a search over a tabular benchmark is set up, and what it found after each trial."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from autopeft.tabular.weighed import Floats

FULL_LENGTH_ONLY = (Fraction(1),)  # no rungs below it


@dataclass(frozen=True)
class SearchSetup:
    """One way to search a benchmark.

    Attributes:
        sampler: A sampler of the study, such as "tpe".
        importance: The prior over layers; "none" for none.
        rungs: Rising shares of the full length, up to 1.
        transfer: Whether the search begins with another benchmark's front.
    """

    sampler: str
    importance: str = "none"
    rungs: tuple[Fraction, ...] = FULL_LENGTH_ONLY
    transfer: bool = False

    @property
    def has_rungs(self) -> bool:
        """Whether trials are compared before the full length."""
        return self.rungs != FULL_LENGTH_ONLY

    def __str__(self) -> str:
        parts = [self.sampler]
        parts += [f"{self.importance} prior"] if self.importance != "none" else []
        parts += [f"rungs {','.join(map(str, self.rungs[:-1]))}"] if self.has_rungs else []
        return " + ".join([*parts, "transfer"] if self.transfer else parts)


@dataclass(frozen=True, eq=False)
class Trajectory:
    """What one search found after each of its T trials.

    Attributes:
        cost: (T,) What was spent so far, in full-length runs.
        share: (T,) The share of the benchmark's hypervolume found so far.
        reported: The share kept by the front that the validation score picks at the end.
    """

    cost: Floats
    share: Floats
    reported: float

    def trials_to(self, share: float) -> int | None:
        """The first trial (from 1) at which a share of the hypervolume is reached; None if it never is."""
        there = np.flatnonzero(self.share >= share)
        return int(there[0]) + 1 if there.size else None

    def at_cost(self, cost: float) -> float:
        """The share of the hypervolume when so many full-length runs were spent."""
        spent = np.flatnonzero(self.cost <= cost + 1e-9)
        return float(self.share[spent[-1]]) if spent.size else 0.0
