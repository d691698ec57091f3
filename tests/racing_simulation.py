"""Made-up searches whose truth is known, raced and then trained with every seed: what racing saves, and what it costs.

The package's own full-length stage, front and verdict decide; only the training is made up.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from math import sqrt
from typing import Any

import numpy as np
from interval_simulation import FINALISTS, MARGIN, UNIFORM
from made_up import WHOLE
from simulated_studies import drawn, other_split
from sizes import bert_shapes

from autopeft.base.artefacts import Artefacts
from autopeft.configuration import Configuration
from autopeft.executor.order import Answer, Order
from autopeft.front import front_of, verdict
from autopeft.front.contenders import contenders
from autopeft.objectives import Limits, Objectives
from autopeft.proxy.curve import Curve
from autopeft.space.rates import rate_rule
from autopeft.study.candidates import TRIES, UNIFORM_LORA, Candidate, baselines
from autopeft.study.folder import outcomes_of
from autopeft.study.full_length import FullLength
from autopeft.study.records import Outcome, StudyResult
from autopeft.study.spec import StudySpec
from autopeft.tasks.unit_scores import UnitScores

SHAPES = bert_shapes()
SPEC = StudySpec(seeds=3, full_steps=300)
OBJECTIVES = Objectives.of("parameters,metric", "accuracy")
SIZES = ((1, (2,)), (1, (1, 2)), (2, (0, 1, 2)), (8, (0, 1)), (16, (0, 1, 2)), (32, (0, 1, 2)))  # rank, layers
BUDGET = 20_000
BESIDE = {"linear probe": -0.12, "the usual guess": -0.08, UNIFORM_LORA: 0.0, "full fine-tuning": 0.01}
SPREAD, NOISE = 0.011, 0.008  # of the finalists' truths, and of one run over seeds
OFF_RATE = 0.004  # standard deviation of what a neighbouring rate loses

OfFinalists = Callable[[np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Scenario:
    """What is true of the finalists.

    Attributes:
        truths: their accuracies, relative to uniform LoRA's.
        noise: the standard deviation of a run of each over seeds.
        rows: of either split.
        accuracy: uniform LoRA's.
    """

    truths: OfFinalists
    noise: OfFinalists = lambda g: np.full(len(SIZES), NOISE)
    rows: int = 1000
    accuracy: float = 0.8


SCENARIOS = {
    "as good at any size": Scenario(lambda g: g.normal(0, SPREAD, len(SIZES))),
    "better when larger": Scenario(lambda g: np.sort(g.normal(0, SPREAD, len(SIZES)))),
    "some vary more": Scenario(lambda g: g.normal(0, SPREAD, len(SIZES)), noise=lambda g: g.permutation(FINALISTS)),
    "all equal": Scenario(lambda g: np.zeros(len(SIZES)), noise=lambda g: np.array(FINALISTS)),
    "a margin below": Scenario(
        lambda g: np.full(len(SIZES), -MARGIN), lambda g: np.full(len(SIZES), 0.003), rows=2000, accuracy=0.95
    ),
}


RATES = rate_rule().around(1e-3, TRIES)


def candidates() -> list[Candidate]:
    """Six finalists of 128 to 12,288 parameters and every baseline."""
    settings = [({"rank": rank, "target_modules": "query+value", "rslora": False}, layers) for rank, layers in SIZES]
    finalists = [
        Candidate(f"trial {number}", "finalist", Configuration.of("lora", setting, layers, 1e-3), RATES)
        for number, (setting, layers) in enumerate(settings)
    ]
    return finalists + baselines(SHAPES, BUDGET, True, SPEC)


CANDIDATES = candidates()
AWAY = np.arange(-3, 4)  # how many rates away from the middle one a candidate may be trained


def place_of(configuration: Configuration) -> tuple[int, int]:
    """The number of a candidate, and of the rate at which it is trained."""
    place, rates = next(
        (i, c.rates)
        for i, c in enumerate(CANDIDATES)
        if replace(c.configuration, learning_rate=configuration.learning_rate) == configuration
    )
    away = round(np.log(configuration.learning_rate / rates[1]) / np.log(rates[2] / rates[1])) if rates else 0
    return place, int(away - AWAY[0])


@dataclass
class Runs:
    """Full-length runs that are kept in memory; stands in for a study's folder."""

    kept: list[dict[str, Any]] = field(default_factory=list)
    artefacts: Artefacts = Artefacts("no states")

    def drop_states(self) -> None:
        """There are none."""

    def runs(self) -> list[dict[str, Any]]:
        return list(self.kept)

    def add_run(self, name, role, configuration, trainable, counted, curve) -> None:
        run = {"name": name, "role": role, "configuration": configuration.to_json(), "trainable": trainable}
        self.kept.append({**run, "counted": counted, "curve": curve.to_json()})

    def outcomes(self) -> tuple[Outcome, ...]:
        return outcomes_of(run for run in self.kept if run["role"] != "tuning")


@dataclass(frozen=True)
class Study:
    """What is true of one made-up study.

    Attributes:
        accuracies: of each candidate at each rate (C, R).
        validation: its right answers on the validation split, (C, R, S, N).
        test: on the test split.
    """

    accuracies: np.ndarray
    validation: np.ndarray
    test: np.ndarray

    def train(self, orders: Iterable[Order]) -> Iterator[tuple[int, Answer]]:
        for number, job in enumerate(order.job for order in orders):
            right = [x[place_of(job.configuration)][job.seed] for x in (self.validation, self.test)]
            score, tested = (float(x.mean()) for x in right)
            units = [UnitScores(x, False).to_text() if job.test else None for x in right]
            curve = Curve(job.seed, (1,), (1.0,), (1 - score,), (score,), 0.1, 1, tested, 1 - tested, *units)
            yield number, Answer(curve)

    def truth(self, configuration: Configuration) -> float:
        return float(self.accuracies[place_of(configuration)])


def made_up(scenario: Scenario, generator: np.random.Generator) -> Study:
    """Draw a study."""
    middle = scenario.accuracy + np.array([*scenario.truths(generator), *BESIDE.values()])
    off = np.abs(AWAY) * np.abs(generator.normal(0, OFF_RATE, (len(middle), len(AWAY))))
    accuracies = (middle[:, None] - off).clip(0, 0.995)
    world = drawn(1, accuracies.size, SPEC.seeds + 1, scenario.rows, generator)
    spreads = np.repeat([*scenario.noise(generator), *[UNIFORM] * len(BESIDE)], len(AWAY))
    splits = (w.right(accuracies.ravel(), spreads)[0] for w in (world, other_split(world, generator)))
    validation, test = (right.reshape(*accuracies.shape, *right.shape[1:]) for right in splits)
    return Study(accuracies, validation, test)


def both_ways(study: Study) -> tuple[tuple[StudyResult, int], tuple[StudyResult, int]]:
    """(result, runs) of the race, and of the same search once every seed has been trained."""
    known: dict[tuple, set[str]] = {}

    def race(outcomes: tuple[Outcome, ...], noise: float) -> set[str]:
        key = (noise, *((o.name, o.configuration, len(o.curves)) for o in outcomes))
        if key not in known:  # rounds are replayed
            known[key] = contenders(result_of(outcomes), noise)
        return known[key]

    def everyone(outcomes: tuple[Outcome, ...], noise: float) -> set[str]:
        return {o.name for o in outcomes}

    folder, found = Runs(), []
    for going_on in (race, everyone):
        stage = FullLength(folder, SPEC, SHAPES, OBJECTIVES, Limits.of_budget(SHAPES), study.train, going_on)
        stage.run(CANDIDATES, lambda name, curve: None, lambda runs: None)
        found.append((result_of(folder.outcomes()), sum(run["role"] != "tuning" for run in folder.runs())))
    return found[0], found[1]


def result_of(outcomes: tuple[Outcome, ...]) -> StudyResult:
    """A study's result as far as front and verdict read it."""
    spec, limits = SPEC.model_dump(), {"parameters": BUDGET}
    return replace(WHOLE, shapes=SHAPES, spec=spec, budget=BUDGET, limits=limits, outcomes=outcomes, trials=())


def compared(study: Study) -> dict[str, float]:
    """One study, raced and in full: runs, the truth of what is chosen in points, and what the verdict says."""
    (raced, runs), (full, all_runs) = both_ways(study)
    fronts = [front_of(result) for result in (raced, full)]
    row: dict[str, float] = {"runs": runs, "all runs": all_runs}
    for name, budget in (("best", BUDGET), ("a tenth", BUDGET / 10), ("a hundredth", BUDGET / 100)):
        mine, its = (study.truth(front.best(int(budget)).configuration) for front in fronts)
        row[name] = 100 * (mine - its)
    for name, result in (("raced", raced), ("all", full)):
        said = verdict(result)
        row[f"better or worse, {name}"] = said.judgement in ("better", "worse")
        row[f"equivalent, {name}"] = said.judgement == "equivalent"
        row[f"lean holds up, {name}"] = any(lean.holds_up for lean in said.lean)
    return row


def simulated(scenario: str, studies: int, seed: int = 0) -> dict[str, tuple[float, float]]:
    """Name -> mean over so many studies, and its standard error."""
    rows = [compared(made_up(SCENARIOS[scenario], np.random.default_rng([seed, n]))) for n in range(studies)]
    return {
        name: (float(np.mean(values)), float(np.std(values) / sqrt(studies)))
        for name in rows[0]
        for values in [[row[name] for row in rows]]
    }
