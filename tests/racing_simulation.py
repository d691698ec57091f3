"""Made-up searches whose truth is known, with every seed for everyone and raced: what racing costs, and what it saves.

The package's own full-length stage, front and verdict decide; only the training is made up.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from made_up import WHOLE
from simulated_studies import World, drawn, other_split
from sizes import bert_shapes

from autopeft.configuration import Configuration
from autopeft.front.contenders import contenders
from autopeft.objectives import Limits, Objectives
from autopeft.proxy.curve import Curve
from autopeft.proxy.job import Job, JobResult
from autopeft.study.candidates import TUNING, UNIFORM_LORA, Candidate, baselines
from autopeft.study.folder import outcomes_of
from autopeft.study.full_length import FullLength
from autopeft.study.records import Outcome, StudyResult
from autopeft.study.spec import StudySpec
from autopeft.tasks.unit_scores import UnitScores

SHAPES = bert_shapes()
SPEC = StudySpec(seeds=3)
OBJECTIVES = Objectives.of("parameters,metric", "accuracy")
SIZES = ((1, (2,)), (1, (1, 2)), (2, (0, 1, 2)), (8, (0, 1)), (16, (0, 1, 2)), (32, (0, 1, 2)))  # rank and layers
BUDGET = 20_000
BESIDE = {"linear probe": -0.12, "the usual guess": -0.08, UNIFORM_LORA: 0.0, "full fine-tuning": 0.01}
OFF_RATE = 0.004  # by how much a neighbouring rate differs from the middle one, standard deviation
ACCURACY = 0.8


def candidates() -> list[Candidate]:
    """Six finalists of 128 to 12,288 parameters and every baseline."""
    settings = [({"rank": rank, "target_modules": "query+value", "rslora": False}, layers) for rank, layers in SIZES]
    finalists = [
        Candidate(f"trial {number}", "finalist", Configuration.of("lora", setting, layers, 1e-3))
        for number, (setting, layers) in enumerate(settings)
    ]
    return finalists + baselines(SHAPES, BUDGET, ceiling=True)


@dataclass
class Runs:
    """Full-length runs that are kept in memory; stands in for a study's folder."""

    kept: list[dict[str, Any]] = field(default_factory=list)

    def runs(self) -> list[dict[str, Any]]:
        return self.kept

    def add_run(self, name, role, configuration, trainable, counted, curve) -> None:
        names = ("name", "role", "configuration", "trainable", "counted", "curve")
        self.kept.append(dict(zip(names, (name, role, configuration.to_json(), trainable, counted, curve.to_json()))))


@dataclass(frozen=True)
class Truth:
    """One made-up study.

    Attributes:
        places: configuration -> its place among all that can be trained.
        accuracies: the truth of each (C,).
        splits: right answers on the validation and the test split, (C, S, N) each.
    """

    places: dict[Configuration, int]
    accuracies: np.ndarray
    splits: tuple[np.ndarray, np.ndarray]

    def train(self, jobs: Iterable[Job]) -> Iterator[tuple[int, JobResult]]:
        for number, job in enumerate(jobs):
            validation, test = (x[self.places[job.configuration], job.seed] for x in self.splits)
            units = tuple(UnitScores(x, False).to_text() for x in (validation, test)) if job.test else (None, None)
            score, tested = float(validation.mean()), float(test.mean())
            yield (
                number,
                JobResult(Curve(job.seed, (1,), (1.0,), (1 - score,), (score,), 0.1, 1, tested, 1 - tested, *units)),
            )


def made_up(accuracies: Sequence[float], noise: float, rows: int, generator: np.random.Generator) -> Truth:
    """A study of candidates of these accuracies at their middle rates, whose runs vary by so much."""
    tried = [c.rates() if c.tuned else [c.configuration] for c in candidates()]
    off = [generator.normal(0, OFF_RATE, len(TUNING)) * (np.array(TUNING) != TUNING[1]) for _ in tried]
    truths = [a - abs(o[: len(rates)]) if len(rates) > 1 else [a] for a, o, rates in zip(accuracies, off, tried)]
    accuracy = np.clip(np.concatenate(truths), 0.5, 0.99)
    places = {c: i for i, c in enumerate(c for rates in tried for c in rates)}
    world: World = drawn(1, len(accuracy), SPEC.seeds + 1, rows, generator)
    spreads = [noise] * len(accuracy)
    splits = (w.right(accuracy, spreads)[0] for w in (world, other_split(world, generator)))
    return Truth(places, accuracy, tuple(splits))


def searched(truth: Truth, raced: bool) -> tuple[StudyResult, int, int]:
    """The study's result, the runs that racing saved, and all runs."""
    found = replace(
        WHOLE,
        shapes=SHAPES,
        spec=SPEC.model_dump(),
        budget=BUDGET,
        limits={"parameters": BUDGET},
        outcomes=(),
        trials=(),
    )

    def everyone(outcomes: tuple[Outcome, ...], noise: float) -> set[str]:
        return {o.name for o in outcomes}

    def race(outcomes: tuple[Outcome, ...], noise: float) -> set[str]:
        return contenders(replace(found, outcomes=outcomes), noise)

    folder, limits = Runs(), Limits.of_budget(SHAPES)
    stage = FullLength(folder, SPEC, SHAPES, OBJECTIVES, limits, truth.train, race if raced else everyone)
    saved, of = stage.run(candidates(), lambda name, curve: None, lambda runs: None)
    outcomes = outcomes_of(r for r in folder.kept if r["role"] != "tuning")
    return replace(found, outcomes=outcomes), saved, len(folder.kept)
