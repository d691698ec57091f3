"""A difference so far -> whether its comparison wants another seed."""

from autopeft.front.intervals import Interval, equivalent

MOST_SEEDS = 5
# Every look at a difference is a chance to be wrong. Before the last seed only this level ends a comparison, so that all
# looks together err hardly more often than the last one alone (Haybittle 1971, Peto et al. 1976; docs/numbers.md).
EARLY_LEVEL = 0.99
EARLY_EQUIVALENCE = 0.98  # two one-sided tests at 1 %


def wants_another_seed(gap: Interval, margin: float, seeds: int, most: int = MOST_SEEDS) -> bool:
    """Whether a comparison is still open and may be given one more seed.

    Args:
        gap: the difference with its interval over the seeds so far.
        margin: differences up to it do not matter, in the unit of the score.
        seeds: how many both sides have been trained with.
        most: where a comparison ends, whatever it says.

    Returns:
        False after the last seed, and before it where the 99 % interval lies on one side of zero or two one-sided tests
        at 1 % say equivalent.
    """
    low, high = gap.at(EARLY_LEVEL)
    settled = low > 0 or high < 0 or equivalent(gap, margin, EARLY_EQUIVALENCE)
    return seeds < most and not settled
