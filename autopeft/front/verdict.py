"""StudyResult -> Verdict: which configuration to take, what it gains, and which is the leanest that holds up.

What is compared is chosen on the validation split; the test split only says how far apart it is.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from autopeft.front.comparison import Comparison, amount, compare, gains_of, holds_up
from autopeft.front.front import FrontPoint, eligible, front_of
from autopeft.objectives import Objective
from autopeft.study.candidates import DOING_NOTHING, UNIFORM_LORA, USUAL_GUESS
from autopeft.study.records import Outcome, StudyResult


@dataclass(frozen=True)
class Lean:
    """The configuration that costs least in one objective and still holds up against uniform LoRA.

    Attributes:
        objective: what it is lean in.
        point: the configuration.
        holds_up: whether it is equivalent to uniform LoRA, or better, on the validation split; else it is the best of
            those that cost less than uniform LoRA.
        against: uniform LoRA, on the test split.
    """

    objective: Objective
    point: FrontPoint
    holds_up: bool
    against: Comparison


@dataclass(frozen=True)
class Verdict:
    """The answer in sentences and in numbers.

    Attributes:
        best: the configuration to take: the best of the front on the validation split, which is what is exported.
        gains: the best against the usual guess and against uniform LoRA, by the other's name; itself left out.
        lean: the leanest in each objective beside the quality, where any costs less than uniform LoRA.
    """

    sentences: tuple[str, ...]
    best: FrontPoint | None = None
    gains: dict[str, Comparison] = field(default_factory=dict)
    lean: tuple[Lean, ...] = ()

    @property
    def sentence(self) -> str:
        """All that is said."""
        return " ".join(self.sentences)

    @property
    def judgement(self) -> str | None:
        """The best against uniform LoRA: "better", "worse", "equivalent" or "undecided"; None where it is that itself."""
        found = self.gains.get(UNIFORM_LORA)
        return found.word if found else None


def verdict(result: StudyResult) -> Verdict:
    """Answer what people ask of a study: what should I take, what does it gain, and what is the least that will do?"""
    outcomes, best = {o.name: o for o in result.outcomes}, front_of(result).best()
    if best is None or best.role == "trial":
        return Verdict(
            ("No finalist has been trained at full length yet, so nothing can be said against uniform LoRA.",)
        )
    mine = outcomes[best.name]
    gains = gains_of(mine, result)
    lean = tuple(leanest(result, outcomes))
    said = [taken(best, result), *gained(best, gains, outcomes), *map(told, lean), *beside(mine, result)]
    return Verdict(tuple(said), best, gains, lean)


def taken(best: FrontPoint, result: StudyResult) -> str:
    """Which configuration to take, and what it reaches."""
    interval = best.score
    known = f" (95 % interval {interval.low:.4f} to {interval.high:.4f})" if interval.half == interval.half else ""
    kind = "the baseline " if best.role == "baseline" else ""
    return (
        f"Take {kind}{best.name}, {best.configuration}: the best of the front on the validation split, with "
        f"{best.trainable:,} trainable parameters ({best.percent:.3f} %) and a test {best.quality.name} of "
        f"{interval.mean:.4f}{known}."
    )


def gained(best: FrontPoint, gains: dict[str, Comparison], outcomes: dict[str, Outcome]) -> Iterator[str]:
    """What it gains over what would have been typed, and over a tuned uniform LoRA."""
    for name, comparison in gains.items():
        other = outcomes[name]
        yield f"Against {name} ({what(other)}, {other.trainable:,} parameters): {comparison}."
    if best.name == UNIFORM_LORA:
        yield "Nothing that was searched is better than uniform LoRA on the validation split."
    elif UNIFORM_LORA not in outcomes:
        yield "Uniform LoRA has not been trained yet."


def what(outcome: Outcome) -> str:
    """A baseline in a few words."""
    settings = dict(outcome.configuration.settings)
    tuned = "untuned" if outcome.name == USUAL_GUESS else "tuned"
    targets = str(settings.get("target_modules", "")).replace("+", " and ")
    return f"r = {settings.get('rank')}, {targets}, learning rate {outcome.configuration.learning_rate:.2g}, {tuned}"


def leanest(result: StudyResult, outcomes: dict[str, Outcome]) -> Iterator[Lean]:
    """For each objective beside the quality: the leanest, where anything costs less than uniform LoRA in it."""
    points = {p.name: p for p in eligible(result)}
    if UNIFORM_LORA in points:
        found = (leanest_in(objective, points, outcomes, result) for objective in result.objectives.others)
        yield from (lean for lean in found if lean)


def leanest_in(
    objective: Objective, points: dict[str, FrontPoint], outcomes: dict[str, Outcome], result: StudyResult
) -> Lean | None:
    """Of what costs less than uniform LoRA in an objective: the least that holds up, or else the best.

    Args:
        objective: what is to be low.
        points: those within the limits, by name, uniform LoRA among them.
        outcomes: by name.
        result: the study.
    """

    def cost(point: FrontPoint) -> float:
        return objective.cost(point.decides[objective.name])

    uniform = outcomes[UNIFORM_LORA]
    leaner = [p for p in points.values() if cost(p) < cost(points[UNIFORM_LORA])]
    holding = [p for p in leaner if holds_up(outcomes[p.name], uniform, result)]
    if not leaner:
        return None
    found = min(holding, key=cost) if holding else min(leaner, key=lambda p: p.quality.cost(p.validation))
    return Lean(objective, found, bool(holding), compare(outcomes[found.name], uniform, result))


def told(lean: Lean) -> str:
    """A lean configuration in a sentence."""
    name, point = lean.objective.name, lean.point
    costs = f"{point.name}, {point.configuration}, with {lean.objective.words(point.decides[name])}"
    least = f"The least {name} that " if name != "parameters" else "The smallest that "
    margin = amount(lean.against.margin, lean.against.points, sign="")
    if lean.holds_up:
        return (
            f"{least}holds up against uniform LoRA on the validation split (equivalent within {margin}, or better): "
            f"{costs}; on the test split {lean.against}."
        )
    less = "smaller" if name == "parameters" else f"with less {name}"
    return (
        f"Nothing {less} is shown to be equivalent to uniform LoRA within {margin} on the validation split; the best of "
        f"what is: {costs}; on the test split {lean.against}."
    )


def beside(best: Outcome, result: StudyResult) -> Iterator[str]:
    """The ceiling, and the backbone as it is where there is no head to train."""
    quality = result.objectives.quality
    for other in (o for o in result.outcomes if o.role == "ceiling" or o.name == DOING_NOTHING):
        values = other.over_seeds(quality)
        if values and other is not best:
            comparison = compare(best, other, result)
            yield f"Against {other.name} ({sum(values) / len(values):.4f}): {comparison}."
