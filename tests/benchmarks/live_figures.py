"""Re-trained members of the fronts that ways to search reported -> a row per way, and differences over tasks."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from autopeft.configuration import Configuration
from autopeft.front.comparison import Comparison, compare
from autopeft.front.intervals import Interval, estimate, over_seeds
from autopeft.front.per_budget import shares_down_to
from autopeft.study.candidates import UNIFORM_LORA
from autopeft.study.records import Outcome, StudyResult
from autopeft.tabular.task_table import LARGEST_SHARE, volume

PROBE = "linear probe"
MOST = 7  # members of a way: one for each budget level of the three decades that the hypervolume spans
PARTS = {"full budget": 1, "a tenth": 10, "a hundredth": 100}


@dataclass(frozen=True)
class Member:
    """A configuration that a way reports, with the validation score by which that way chose it."""

    configuration: Configuration
    trainable: int
    validation: float

    @classmethod
    def from_json(cls, data: dict) -> "Member":
        return cls(Configuration.from_json(data["configuration"]), data["trainable"], data["validation"])

    def to_json(self) -> dict:
        return {**vars(self), "configuration": self.configuration.to_json()}


def members(found: Iterable[Member], budget: int) -> list[Member]:
    """The best by validation within the budget, a third, a tenth ... of it; the head alone is none, and what it beats."""
    found = list(found)
    head = max((m.validation for m in found if not m.trainable), default=float("-inf"))
    found = [m for m in found if 0 < m.trainable <= budget and m.validation > head]
    if not found:
        return []
    steps = shares_down_to(Fraction(min(m.trainable for m in found), budget))
    best = (best_within(found, budget * share) for share in steps)
    return list(dict.fromkeys(m for m in best if m))[:MOST]


def best_within(found: Iterable[Member], budget: float) -> Member | None:
    return max((m for m in found if m.trainable <= budget), key=lambda m: m.validation, default=None)


def figures_of(chosen: Sequence[Member], known: StudyResult) -> dict:
    """What a way's members come to on the test split.

    Args:
        chosen: the way's.
        known: the study, with the re-trained runs as its outcomes: baselines by name, members by their configuration's
            key. A member that could not be trained is missing.

    Returns:
        Hypervolume and scores as [mean, low, high]; where a way has nothing within a budget, it has the linear probe. The
        fewest parameters, as a share of uniform LoRA's, that are equivalent to it or better, and those that are not a
        margin below it in the mean.
    """
    outcomes, quality = {o.name: o for o in known.outcomes}, known.objectives.quality
    chosen = [m for m in chosen if m.configuration.key in outcomes]
    best = [best_within(chosen, known.budget / part) for part in PARTS.values()]
    scored = [outcomes[m.configuration.key if m else PROBE] for m in best]
    mine = [outcomes[m.configuration.key] for m in chosen]
    against = [(o.trainable, compare(o, outcomes[UNIFORM_LORA], known)) for o in mine]
    return {
        "hypervolume": ends(over_seeds(volumes(mine, outcomes[PROBE], known))),
        **{part: ends(estimate(o.runs(quality, "test"))) for part, o in zip(PARTS, scored)},
        "equivalent": least(against, lambda c: c.word in ("equivalent", "better"), outcomes),
        "within": least(against, lambda c: c.gap.mean >= -c.margin, outcomes),
    }


def volumes(mine: Sequence[Outcome], probe: Outcome, known: StudyResult) -> list[float]:
    """The hypervolume of each seed: decades of parameters below the budget times score over the linear probe's."""
    scores = [{c.seed: c.test_score for c in o.curves} for o in (probe, *mine)]
    seeds = sorted(set.intersection(*map(set, scores)))
    shares = np.array([o.trainable for o in mine]) / known.budget * LARGEST_SHARE
    return [
        volume(shares, np.array([s[seed] - scores[0][seed] for s in scores[1:]])) if mine else 0.0 for seed in seeds
    ]


def least(against: list[tuple[int, Comparison]], holds, outcomes: dict[str, Outcome]) -> float | None:
    """The fewest parameters that hold up, as a share of uniform LoRA's; None where nothing does."""
    fewest = min((trainable for trainable, comparison in against if holds(comparison)), default=None)
    return None if fewest is None else fewest / outcomes[UNIFORM_LORA].trainable


def ends(interval: Interval) -> list[float]:
    return [interval.mean, interval.low, interval.high]


def differences(tasks: Sequence[dict]) -> list[dict]:
    """The search minus each other way and each baseline over tasks: means with 95 % intervals.

    Args:
        tasks: figures of each task: {"ways": {way: figures}, "baselines": {name: [mean, low, high]}}.
    """
    rows = []
    for other in dict.fromkeys(name for t in tasks for name in t["ways"] if name != "search"):
        pairs = [(t["ways"]["search"], t["ways"][other]) for t in tasks if other in t["ways"]]
        gaps = {k: [mine[k][0] - its[k][0] for mine, its in pairs] for k in ("hypervolume", *PARTS)}
        better = f"{sum(g > 0 for g in gaps['hypervolume'])} of {len(pairs)}"
        rows.append({"search minus": other, **{k: gap_text(g) for k, g in gaps.items()}, "better volume": better})
    for other in dict.fromkeys(name for t in tasks for name in t["baselines"]):
        gap = [
            t["ways"]["search"]["full budget"][0] - t["baselines"][other][0] for t in tasks if other in t["baselines"]
        ]
        rows.append({"search minus": other, **dict.fromkeys(("hypervolume", *PARTS)), "full budget": gap_text(gap)})
        rows[-1]["better volume"] = None
    return rows


def gap_text(gaps: Sequence[float]) -> str:
    found = over_seeds(gaps)  # over tasks here
    return f"{found.mean:+.4f}" + (f" ({found.low:+.4f} to {found.high:+.4f})" if len(gaps) > 1 else "")


def text(found: Sequence[float]) -> str:
    """[mean, low, high] -> mean ± half; the mean alone where there is no interval."""
    mean, low, high = found
    return f"{mean:.4f}" + (f" ± {(high - low) / 2:.4f}" if high == high else "")
