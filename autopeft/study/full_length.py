"""Finalists and baselines: full-length training with one seed after another, each run stored as it ends.

Learning rates are tuned first, on the first quarter of the length. Seeds are then raced: after the first, only what could
still be an answer gets another.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from math import inf

from autopeft.backbone.shapes import BackboneShapes
from autopeft.base.steady import steady
from autopeft.configuration import Configuration
from autopeft.executor.order import Answer, Order
from autopeft.methods import count
from autopeft.objectives import Limits, Objectives
from autopeft.proxy.checkpoint import Checkpoints
from autopeft.proxy.curve import Curve
from autopeft.proxy.job import Job
from autopeft.study.candidates import DOING_NOTHING, Candidate
from autopeft.study.folder import StudyFolder, outcomes_of
from autopeft.study.length import evaluation_steps, patience_of
from autopeft.study.racing import Contenders, Run, Seeds, race, run_noise, was_luck
from autopeft.study.running import Train
from autopeft.study.spec import StudySpec
from autopeft.study.tuning import loss, rates_to_try, seeds_of, tuned_rates, tuned_until


@dataclass(frozen=True)
class Attempt:
    """One training that is still to do; of a tuned learning rate with the study's seed and to `tuned_until` only."""

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
    luck when no seed is then near where the next best rate was when it was tuned: the seeds are then trained at that one
    too, and the rate with the lower mean validation loss counts.

    Attributes:
        contenders: outcomes so far, and by how much one run varies -> the names that get another seed.
    """

    folder: StudyFolder
    spec: StudySpec
    shapes: BackboneShapes
    objectives: Objectives
    limits: Limits
    train: Train
    contenders: Contenders

    def left(self, candidates: Iterable[Candidate]) -> int:
        """How many trainings are sure to be still to do: the tuning of learning rates and the next round of seeds."""
        candidates = list(candidates)
        return len(self._to_tune(candidates)) + len(self._race(candidates)[1])

    def run(
        self,
        candidates: Iterable[Candidate],
        report: Callable[[str, Curve | None], None],
        more: Callable[[int], None],
        until: float = inf,
    ) -> tuple[int, int]:
        """Tune the learning rates that are to be tuned, then race the candidates, a seed in each round.

        Args:
            candidates: what is trained; what the folder holds already is not trained again.
            report: told the name of each training and its curve, None with the reason in the name if it failed.
            more: told how many trainings the next round adds.
            until: `steady()` at which it should have ended: a round after the first that would take longer is not
                begun.

        Returns:
            How many runs the race did without, of how many: all seeds of every candidate.
        """
        candidates, began, tried = list(candidates), steady(), set[Attempt]()
        tuned = self._to_tune(candidates)
        while tuned:
            self._train(tuned, report)
            tried.update(tuned)
            tuned = [a for a in self._to_tune(candidates) if a not in tried]
            more(len(tuned))
        seeds, left = self._race(candidates, tried)
        while left:
            self._train(left, report)
            tried.update(left)
            seeds, left = self._race(candidates, tried)
            seconds = (steady() - began) / len(tried)
            if steady() + len(left) * seconds > until:
                break
            more(len(left))
        self.folder.drop_states()
        return self._saved(candidates, seeds)

    def _saved(self, candidates: list[Candidate], seeds: Seeds) -> tuple[int, int]:
        trained = {o.name: len(o.curves) for o in self.folder.outcomes()}  # a study of release 0.1 has every seed
        spared = (self._most(c) - max(seeds[c.name], trained.get(c.name, 0)) for c in candidates)
        of = sum(map(self._most, candidates))
        return sum(max(0, runs) for runs in spared), of

    def _train(self, attempts: list[Attempt], report: Callable[[str, Curve | None], None]) -> None:
        jobs, checkpoints = [self._job(attempt) for attempt in attempts], Checkpoints(self.folder.artefacts)
        for number, result in self.train([Order(job) for job in jobs]):
            self._keep(attempts[number], result, report)
            checkpoints.of(jobs[number]).drop()

    def _job(self, attempt: Attempt) -> Job:
        """All that are scored end by the same rule."""
        steps, epochs = self.spec.steps, self.spec.epochs
        points = evaluation_steps(steps, epochs)
        job = Job(attempt.configuration, attempt.seed, steps, steps, points, patience=patience_of(epochs))
        if attempt.tuning:
            return replace(job, until=tuned_until(steps, points), evaluation_steps=(), patience=None)
        measure = tuple(o.name for o in self.objectives.measured)
        units = self.objectives.quality.reads
        points = points or (tuned_until(steps, ()), max(1, steps // 2))
        return replace(job, evaluation_steps=points, test=True, units=units, measure=measure)

    def _keep(self, attempt: Attempt, result: Answer, report: Callable[[str, Curve | None], None]) -> None:
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
        losses: dict[str, dict[float, float]] = {}
        for run in self.folder.runs():
            if run["role"] == "tuning" and (found := loss(run, None)) is not None:
                losses.setdefault(run["name"], {})[run["configuration"]["learning_rate"]] = found
        return [
            Attempt(candidate, replace(candidate.configuration, learning_rate=rate), self.spec.seed, tuning=True)
            for candidate in candidates
            for rate in rates_to_try(candidate, losses.get(candidate.name, {}))
        ]

    def _most(self, candidate: Candidate) -> int:
        """The most seeds of a candidate: one where nothing is drawn or trained."""
        return 1 if candidate.name == DOING_NOTHING else self.spec.seeds

    def _race(self, candidates: list[Candidate], tried: Collection[Attempt] = ()) -> tuple[Seeds, list[Attempt]]:
        """The seeds that each candidate gets by the runs so far, and those to train now; `tried` are not tried again."""
        runs = self.folder.runs()

        def missing(seeds: Seeds) -> list[Attempt]:
            return self._missing(candidates, seeds, self._of(runs, seeds), tried)

        def contenders(seeds: Seeds) -> set[str]:
            known = self._of(runs, seeds)
            outcomes = outcomes_of(r for r in known if r["role"] != "tuning")
            unknown = seeds.keys() - {o.name for o in outcomes}
            return unknown | self.contenders(outcomes, run_noise(known, self._quality))

        return race({c.name: self._most(c) for c in candidates}, missing, contenders)

    def _of(self, runs: list[Run], seeds: Seeds) -> list[Run]:
        """The runs that there are of the candidates' first seeds, and the tuning's."""
        return [r for r in runs if r["curve"]["seed"] <= self.spec.seed + seeds.get(r["name"], 0)]

    def _quality(self, run: Run, step: int | None) -> float | None:
        """A run's quality after a step, or what it came to."""
        curve, quality = Curve.from_json(run["curve"]), self.objectives.quality
        if step is None:
            return quality.reported({}, curve, "validation")
        at = curve.at(step)
        values = curve.validation_score if quality.reads == "score" else curve.validation_loss
        return None if at is None else values[at]

    def _missing(
        self, candidates: list[Candidate], seeds: Seeds, runs: list[Run], tried: Collection[Attempt]
    ) -> list[Attempt]:
        """What a round still lacks: every candidate at its tuned rate first, then the next rate of those that were luck."""
        noise, racing = run_noise(runs, loss), {c: tuned_rates(c, runs) for c in candidates}
        while racing:
            wanted = {c: range(self.spec.seed + 1, self.spec.seed + 1 + seeds[c.name]) for c in racing}
            attempts = [Attempt(c, rates[0][1], s, tuning=False) for c, rates in racing.items() for s in wanted[c]]
            done = {c: seeds_of(c, rates[0][1], runs) for c, rates in racing.items()}
            if left := [a for a in attempts if a.seed not in done[a.candidate] and a not in tried]:
                return left
            racing = {c: rates[1:] for c, rates in racing.items() if rates[1:] and self._luck(done[c], rates[1], noise)}
        return []

    def _luck(self, seeds: dict[int, Run], next_best: tuple[float, Configuration, int], noise: float) -> bool:
        """Whether the seeds are not near the next best rate; one that ended before the tuning did has what it came to."""
        read = ((loss(run, next_best[2]), loss(run, None)) for run in seeds.values())
        found = [there if there is not None else whole for there, whole in read]
        return was_luck([x for x in found if x is not None], next_best[0], noise)
