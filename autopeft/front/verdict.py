"""StudyResult -> Verdict: does the best configuration beat uniform LoRA?"""

from dataclasses import dataclass

from autopeft.front.front import FrontPoint, eligible, front_of
from autopeft.front.intervals import Interval, difference, judgement, over_seeds
from autopeft.study.full_length import DOING_NOTHING
from autopeft.study.records import Outcome, StudyResult

UNIFORM = "uniform LoRA"
SAID = {"better": "beats", "worse": "does not beat", "within noise": "is within noise of"}


@dataclass(frozen=True)
class Verdict:
    """The best configuration against uniform LoRA and the ceiling, in one sentence and in numbers.

    Attributes:
        gap: the quality of the best minus that of uniform LoRA.
        judgement: "better", "worse" or "within noise".
    """

    sentence: str
    best: FrontPoint | None = None
    against: str | None = None
    gap: Interval | None = None
    judgement: str | None = None


def verdict(result: StudyResult) -> Verdict:
    """Does the best finalist beat uniform LoRA at the budget, by how much, and is that noise?

    The best is chosen on the validation split, so that its test score is not the luckiest of several.
    """
    outcomes = {o.name: o for o in result.outcomes}
    found = [p for p in eligible(result) if p.role == "finalist"]
    if not found:
        return Verdict("No finalist has been trained at full length yet, so nothing can be said against uniform LoRA.")
    quality = result.objectives.quality
    best = min(found, key=lambda p: quality.cost(p.validation))
    sentence = (
        f"The best configuration by validation, {best.name} ({best.configuration}), reaches a test "
        f"{quality.name} of {best.score.mean:.4f} with {best.trainable:,} trainable parameters "
        f"({best.percent:.3f} %)"
    )
    if (uniform := outcomes.get(UNIFORM)) is None:
        return Verdict(f"{sentence}; uniform LoRA has not been trained yet.", best)
    gap = gap_of(outcomes[best.name], uniform, result)
    word = judgement(gap, quality.direction)
    share = 0 <= best.score.mean <= 1 and quality.direction == "maximize"
    sentence += f": it {SAID[word]} uniform LoRA with {uniform.trainable:,} ({gap_text(gap, share)})"
    for other in (o for o in result.outcomes if o.role == "ceiling" or o.name == DOING_NOTHING):
        apart = gap_of(outcomes[best.name], other, result)
        mean = over_seeds(other.over_seeds(quality)).mean
        sentence += f", and {difference_text(apart.mean, share)} from {other.name} ({mean:.4f})"
    if (chosen := front_of(result).best()) and chosen.name != best.name:
        kind = "a baseline, " if chosen.role == "baseline" else ""
        sentence += f". The front's own best is {kind}{chosen.name} ({chosen.score.mean:.4f})"
    return Verdict(sentence + ".", best, UNIFORM, gap, word)


def gap_of(one: Outcome, other: Outcome, result: StudyResult) -> Interval:
    """The difference of two outcomes in the quality, on the test split.

    Args:
        one: an outcome.
        other: what it is compared with.
        result: the study, which says what the quality is.

    Returns:
        One minus other over seeds, with its 95 % interval.
    """
    quality = result.objectives.quality
    return difference(one.over_seeds(quality), other.over_seeds(quality))


def gap_text(gap: Interval, share: bool = True) -> str:
    """A difference of scores with its interval if there is one; in points where the score is a share.

    Args:
        gap: the difference.
        share: whether the score is a share between 0 and 1, so that the difference is given in points.
    """
    low, high = (f"{100 * x:+.1f}" if share else f"{x:+.4f}" for x in (gap.low, gap.high))
    interval = f"95 % interval {low} to {high}" if gap.half == gap.half else "one seed: no interval"
    return f"{difference_text(gap.mean, share)}, {interval}"


def difference_text(difference: float, share: bool) -> str:
    """+0.012 -> "+1.2 points" of a share, "+0.0120" of a log-likelihood."""
    return f"{100 * difference:+.1f} points" if share else f"{difference:+.4f}"
