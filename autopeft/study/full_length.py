"""Finalists and baselines: full-length training with several seeds, each run stored as it ends.

All get as many tries before they are compared: three learning rates, of which the validation loss chooses. Only the
usual guess stays as it would have been typed.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from autopeft.backbone.shapes import BackboneShapes
from autopeft.configuration import Configuration
from autopeft.methods import count, get_method, learning_rates
from autopeft.objectives import Limits, Objectives
from autopeft.proxy.curve import Curve
from autopeft.proxy.job import Job, JobResult
from autopeft.study.folder import StudyFolder
from autopeft.study.records import TrialRecord
from autopeft.study.running import Train
from autopeft.study.spec import StudySpec
from autopeft.uniform_lora import uniform_lora

DOING_NOTHING = "doing nothing"
USUAL_GUESS = "the usual guess"
UNIFORM_LORA = "uniform LoRA"
TUNING = (0.35, 0.5, 0.7)  # where in a method's learning-rate range (log scale) a baseline's rate is tried


@dataclass(frozen=True)
class Candidate:
    """What is trained at full length.

    Attributes:
        role: "finalist", "baseline" or "ceiling".
        tuned: whether its learning rate is chosen among those of `rates` first.
    """

    name: str
    role: str
    configuration: Configuration
    tuned: bool = True

    def rates(self) -> list[Configuration]:
        """The configuration at each learning rate that is tried: over the method's range, or around a finalist's own."""
        low, high = learning_rates(self.configuration.methods)
        middle = low * (high / low) ** TUNING[1]
        if self.role == "finalist":
            middle = self.configuration.learning_rate
        tried = [middle * (high / low) ** (at - TUNING[1]) for at in TUNING]
        return [replace(self.configuration, learning_rate=float(f"{rate:.6g}")) for rate in tried]


def usual_guess(shapes: BackboneShapes) -> Configuration:
    """What most people type: LoRA with r = 8 and alpha = 16 on query and value of every layer, learning rate 2e-4."""
    settings = {**get_method("lora").defaults, "rank": 8, "target_modules": "query+value"}
    return Configuration.of("lora", settings, tuple(range(shapes.num_layers)), 2e-4)


def baselines(shapes: BackboneShapes, budget: int | None, ceiling: bool) -> list[Candidate]:
    """List the baselines: linear probe, the usual guess, uniform LoRA at the budget, full fine-tuning.

    Where there is no head to train, the backbone as it is takes the place of the linear probe.

    Args:
        shapes: the backbone's sizes.
        budget: trainable parameters, None for no limit.
        ceiling: whether full fine-tuning is among them.
    """
    every = tuple(range(shapes.num_layers))
    nothing = Configuration.of("head_only", {}, (), 1e-3)
    chosen = [
        Candidate(
            "linear probe" if shapes.head_modules else DOING_NOTHING, "baseline", nothing, bool(shapes.head_modules)
        ),
        Candidate(USUAL_GUESS, "baseline", usual_guess(shapes), tuned=False),
        Candidate(UNIFORM_LORA, "baseline", uniform_lora(shapes, budget)),
    ]
    if ceiling:
        full = Configuration.of("full", get_method("full").defaults, every, 1e-4)
        chosen.append(Candidate("full fine-tuning", "ceiling", full))
    return chosen


def finalist(trial: TrialRecord) -> Candidate:
    """A finalist as what is trained at full length."""
    assert trial.configuration is not None
    return Candidate(f"trial {trial.number}", "finalist", trial.configuration)


@dataclass(frozen=True)
class Attempt:
    """One full-length training that is still to do; `seed` is the study's where a learning rate is tuned."""

    candidate: Candidate
    configuration: Configuration
    seed: int
    tuning: bool

    def __str__(self) -> str:
        """What a progress line calls it."""
        if self.tuning:
            return f"{self.candidate.name}, learning rate {self.configuration.learning_rate:.2g}"
        return f"{self.candidate.name}, seed {self.seed}"


@dataclass(frozen=True)
class FullLength:
    """The full-length trainings of one study.

    Learning rates are tuned with the study's own seed and no candidate is scored with that one. A rate turns out to be
    luck when no seed gets as far as the next best rate did when it was tuned: the seeds are then trained at that one
    too, and the rate with the lower mean validation loss counts.
    """

    folder: StudyFolder
    spec: StudySpec
    shapes: BackboneShapes
    objectives: Objectives
    limits: Limits
    train: Train

    def left(self, candidates: Iterable[Candidate]) -> int:
        """How many trainings are still to do, the tuning of learning rates counted."""
        candidates = list(candidates)
        return len(self._to_tune(candidates)) + sum(len(self._seeds_left(c)) for c in candidates)

    def run(
        self,
        candidates: Iterable[Candidate],
        report: Callable[[str, Curve | None], None],
        more: Callable[[int], None],
    ) -> None:
        """Tune the learning rates that are to be tuned, then train every candidate with every seed.

        Args:
            candidates: what is trained; what the folder holds already is not trained again.
            report: told the name of each training and its curve, None with the reason in the name if it failed.
            more: told how many trainings the rates that were luck add.
        """
        candidates = list(candidates)
        self._train(self._to_tune(candidates), report)
        left, tried = self._all_seeds_left(candidates), set[Attempt]()
        while left:
            self._train(left, report)
            tried.update(left)
            left = [attempt for attempt in self._all_seeds_left(candidates) if attempt not in tried]
            more(len(left))

    def _train(self, attempts: list[Attempt], report: Callable[[str, Curve | None], None]) -> None:
        for number, result in self.train([self._job(attempt) for attempt in attempts]):
            self._keep(attempts[number], result, report)

    def _job(self, attempt: Attempt) -> Job:
        steps = self.spec.full_steps
        if attempt.tuning:
            return Job(attempt.configuration, attempt.seed, steps, steps)
        measure = tuple(o.name for o in self.objectives.measured)
        half = (max(1, steps // 2),)
        units = self.objectives.quality.reads
        return Job(attempt.configuration, attempt.seed, steps, steps, half, test=True, units=units, measure=measure)

    def _keep(self, attempt: Attempt, result: JobResult, report: Callable[[str, Curve | None], None]) -> None:
        """Store a run that was trained; one that failed is tried again when the study is resumed."""
        if result.curve is None:
            return report(f"{attempt} failed: {result.failure}", None)
        candidate, configuration = attempt.candidate, attempt.configuration
        role = "tuning" if attempt.tuning else candidate.role
        counted = self.objectives.count(configuration, self.limits)
        self.folder.add_run(
            candidate.name, role, configuration, count(configuration, self.shapes), counted, result.curve
        )
        report(str(attempt), result.curve)

    def _to_tune(self, candidates: list[Candidate]) -> list[Attempt]:
        done = {(r["name"], r["configuration"]["learning_rate"]) for r in self.folder.runs() if r["role"] == "tuning"}
        return [
            Attempt(candidate, configuration, self.spec.seed, tuning=True)
            for candidate in candidates
            if candidate.tuned
            for configuration in candidate.rates()
            if (candidate.name, configuration.learning_rate) not in done
        ]

    def _all_seeds_left(self, candidates: list[Candidate]) -> list[Attempt]:
        return [attempt for candidate in candidates for attempt in self._seeds_left(candidate)]

    def _seeds_left(self, candidate: Candidate) -> list[Attempt]:
        """Seeds after the study's own; one where nothing is drawn or trained."""
        seeds = 1 if candidate.name == DOING_NOTHING else self.spec.seeds
        wanted = range(self.spec.seed + 1, self.spec.seed + 1 + seeds)
        tuned = tuned_rates(candidate, self.folder)
        for place, (_, configuration) in enumerate(tuned):
            done = self._losses(candidate, configuration)
            if left := [s for s in wanted if s not in done]:
                return [Attempt(candidate, configuration, seed, tuning=False) for seed in left]
            if place + 1 == len(tuned) or not was_luck(list(done.values()), tuned[place + 1][0]):
                return []
        return []

    def _losses(self, candidate: Candidate, configuration: Configuration) -> dict[int, float]:
        """Seed -> validation loss of the runs that there are of a candidate at one learning rate."""
        mine = (candidate.name, candidate.role, configuration.learning_rate)
        runs = [r for r in self.folder.runs() if (r["name"], r["role"], r["configuration"]["learning_rate"]) == mine]
        return {r["curve"]["seed"]: r["curve"]["validation_loss"][-1] for r in runs}


def was_luck(losses: list[float], next_best: float) -> bool:
    """Whether a tuned rate won by luck: with no seed does it reach the loss that the next best rate had when tuned."""
    return min(losses) > next_best


def tuned_rates(candidate: Candidate, folder: StudyFolder) -> list[tuple[float, Configuration]]:
    """(validation loss, configuration) of the rates tuned so far, best first; the candidate's own if none is."""
    runs = [r for r in folder.runs() if r["name"] == candidate.name and r["role"] == "tuning"]
    found = [(r["curve"]["validation_loss"][-1], Configuration.from_json(r["configuration"])) for r in runs]
    return sorted(found, key=lambda x: x[0]) or [(0.0, candidate.configuration)]
