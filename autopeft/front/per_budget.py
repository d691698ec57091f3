"""StudyResult -> the answer per budget: the best at the full budget, a third, a tenth, a thirtieth ... of it.

The best within a budget is `Front.best`'s, so the validation split decides; the test split only says how good it is.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import count, groupby, takewhile

from autopeft.front.comparison import Comparison, gains_of
from autopeft.front.front import FrontPoint, eligible, front_of
from autopeft.objectives.parameters import PARAMETERS
from autopeft.study.records import StudyResult


@dataclass(frozen=True)
class BestWithin:
    """The best point of the front within several budgets, and so within every budget between them.

    Attributes:
        shares: of the full budget, the largest first.
        budgets: the trainable parameters that each share comes to.
        point: the best within all of them.
        gains: its difference to the usual guess and to uniform LoRA on the test split, by the other's name; itself and
            what has not been trained are left out.
    """

    shares: tuple[Fraction, ...]
    budgets: tuple[int, ...]
    point: FrontPoint
    gains: dict[str, Comparison]


def per_budget(result: StudyResult) -> tuple[BestWithin, ...]:
    """The best within the budget and within ever smaller shares of it; shares with the same best are one row.

    Args:
        result: the study. Without a budget its largest point's parameters are the full one.

    Returns:
        From the full budget down to the smallest point that trains more than the head. Empty until a finalist has been
        trained at full length, and where the parameters are no objective.
    """
    front, points = front_of(result), eligible(result)
    sizes = [p.trainable for p in points if p.trainable]
    full = int(result.limits.get(PARAMETERS.name, max(sizes, default=0)))
    if not full or PARAMETERS not in tuple(front.objectives) or all(p.role == "trial" for p in points):
        return ()
    steps = ((share, int(full * share)) for share in shares_down_to(Fraction(min(sizes, default=full), full)))
    found = [(share, budget, best) for share, budget in steps if (best := front.best(budget))]
    return tuple(row(list(same), result) for _, same in groupby(found, lambda step: step[2].name))


def shares_down_to(smallest: Fraction) -> Iterator[Fraction]:
    """1, 1/3, 1/10, 1/30 ... down to the smallest."""
    shares = (Fraction(1, ones * 10**zeros) for zeros in count() for ones in (1, 3))
    return takewhile(lambda share: share >= smallest, shares)


def row(steps: list[tuple[Fraction, int, FrontPoint]], result: StudyResult) -> BestWithin:
    """Neighbouring steps (share, budget, best) that have the same best -> one row."""
    shares, budgets, (point, *_) = zip(*steps)
    outcome = next(o for o in result.outcomes if o.name == point.name)
    return BestWithin(shares, budgets, point, gains_of(outcome, result))
