"""Two outcomes -> what one gains over the other, and in which words that can be said."""

from dataclasses import dataclass

from autopeft.front.intervals import Interval, Word, difference, equivalent, judgement
from autopeft.study.candidates import DOING_NOTHING, UNIFORM_LORA, USUAL_GUESS
from autopeft.study.records import Outcome, StudyResult

MARGIN = 0.01  # one point of a score between 0 and 1; of any other quality this share of uniform LoRA's


@dataclass(frozen=True)
class Comparison:
    """The quality of one configuration minus that of another, over the same rows and the same seeds.

    Attributes:
        one: its name.
        other: what it is compared with.
        gap: one minus other on the test split, with its 95 % interval.
        margin: the largest gap that counts as none.
        word: "better", "worse", "equivalent" or "undecided".
        points: whether the quality is a share between 0 and 1, so that gaps are said in points.
    """

    one: str
    other: str
    gap: Interval
    margin: float
    word: Word
    points: bool

    def __str__(self) -> str:
        """The gap, its interval and the word."""
        low, high = (amount(x, self.points).removesuffix(" points") for x in (self.gap.low, self.gap.high))
        known = self.gap.half == self.gap.half
        interval = f"95 % interval {low} to {high}" if known else "no interval: it takes two seeds"
        within = f" within {amount(self.margin, self.points, sign='')}" if self.word == "equivalent" else ""
        return f"{amount(self.gap.mean, self.points)} ({interval}): {self.word}{within}"


def compare(one: Outcome, other: Outcome, result: StudyResult) -> Comparison:
    """Compare two outcomes of a study on its test split.

    Args:
        one: an outcome.
        other: what it is compared with.
        result: the study, which says what the quality and the margin are.
    """
    quality = result.objectives.quality
    gap, margin = gap_of(one, other, result, "test"), margin_of(result)
    return Comparison(one.name, other.name, gap, margin, judgement(gap, margin, quality.direction), in_points(result))


def gains_of(one: Outcome, result: StudyResult) -> dict[str, Comparison]:
    """An outcome against the usual guess and against uniform LoRA, by the other's name; itself and what is missing left out."""
    outcomes = {o.name: o for o in result.outcomes}
    others = [outcomes[n] for n in (USUAL_GUESS, UNIFORM_LORA) if n in outcomes and n != one.name]
    return {other.name: compare(one, other, result) for other in others}


def holds_up(one: Outcome, other: Outcome, result: StudyResult) -> bool:
    """Whether one is equivalent to the other, or better, on the validation split."""
    gap, margin = gap_of(one, other, result, "validation"), margin_of(result)
    return equivalent(gap, margin) or judgement(gap, margin, result.objectives.quality.direction) == "better"


def gap_of(one: Outcome, other: Outcome, result: StudyResult, split: str) -> Interval:
    """One minus other in the study's quality on a split, with its interval."""
    quality = result.objectives.quality
    mine, its = one.runs(quality, split), other.runs(quality, split)
    if one.name == DOING_NOTHING and mine:  # nothing of it is drawn, so it is the same with every seed
        mine = dict.fromkeys(its, next(iter(mine.values())))
    if other.name == DOING_NOTHING and its:
        its = dict.fromkeys(mine, next(iter(its.values())))
    return difference(mine, its)


def margin_of(result: StudyResult) -> float:
    """The largest gap that counts as none: the study's own, or a hundredth of the quality's scale."""
    given = result.spec.get("margin")
    if given is not None:
        return float(given)
    return MARGIN if in_points(result) else MARGIN * abs(typical(result))


def in_points(result: StudyResult) -> bool:
    """Whether the quality is a share between 0 and 1."""
    return result.objectives.quality.direction == "maximize" and 0 <= typical(result) <= 1


def typical(result: StudyResult) -> float:
    """The quality of uniform LoRA on the validation split, or of the first outcome without it; 0 without any."""
    found = {o.name: o for o in reversed(result.outcomes)}
    outcome = found.get(UNIFORM_LORA) or next(iter(result.outcomes), None)
    values = outcome.over_seeds(result.objectives.quality, "validation") if outcome else ()
    return sum(values) / len(values) if values else 0.0


def amount(difference: float, points: bool, sign: str = "+") -> str:
    """+0.012 -> "+1.2 points" of a share, "+0.0120" of any other quality."""
    return f"{100 * difference:{sign}.1f} points" if points else f"{difference:{sign}.4f}"
