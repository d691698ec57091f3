"""Successive halving of one cohort: train to a rung, promote the front, prune the rest, tell Optuna.

Optuna refuses report() and should_prune() in a study of several objectives, so the rungs are ours: what was measured
is in the trial's user attributes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import optuna
from optuna.trial import FrozenTrial, TrialState

from autopeft.objectives import Objectives
from autopeft.proxy.checkpoint import Checkpoints
from autopeft.proxy.job import Job, JobResult
from autopeft.study.folder import StudyFolder
from autopeft.study.promotion import promoted
from autopeft.study.rates import chosen, compared_after, jobs_of
from autopeft.study.records import TrialRecord
from autopeft.study.rungs import Rung
from autopeft.study.running import RunningTrial, Train
from autopeft.study.spec import StudySpec
from autopeft.study.stored import record


@dataclass(frozen=True)
class Halving:
    """What one study's cohorts are compared with and by.

    Attributes:
        objectives: what trials are compared on.
        rungs: the lowest first; the last one is the full length.
        train: trains jobs.
    """

    study: optuna.Study
    objectives: Objectives
    rungs: tuple[Rung, ...]
    spec: StudySpec
    folder: StudyFolder
    train: Train
    _ended: dict[int, TrialRecord] = field(default_factory=dict, compare=False, repr=False)

    def run(self, cohort: list[RunningTrial]) -> Iterator[TrialRecord]:
        """Take a cohort through the rungs; gives each trial as it ends."""
        running = {t.number: t for t in cohort}
        running |= {t.number: t for t in self._with_rates(cohort)}
        for trial in [t for t in running.values() if t.failed]:
            yield self._end(running.pop(trial.number), TrialState.FAIL)
        for rung in self.rungs:
            for trial in self._train_to(rung, list(running.values())):
                if trial.failed:
                    yield self._end(running.pop(trial.number), TrialState.FAIL)
                else:
                    running[trial.number] = trial
            if running and rung != self.rungs[-1]:
                kept = self._promoted(rung, list(running.values()))
                for number in [n for n in running if n not in kept]:
                    yield self._end(running.pop(number), TrialState.PRUNED)
        for trial in running.values():
            yield self._complete(trial)
        self.folder.drop_states()

    def _with_rates(self, cohort: list[RunningTrial]) -> Iterator[RunningTrial]:
        """Choose the rates of those that have not begun: all of theirs are trained a little, the best goes on."""
        new = [t for t in cohort if t.rates and t.curve is None]
        until = compared_after(self.spec.steps, self.rungs[0].steps) if new else 0
        jobs = [jobs_of(t, self._job(t, None, self.rungs[0]), until) for t in new]
        results = dict(self.train([job for own in jobs for job in own]))
        numbers = iter(range(len(results)))
        for trial, own in zip(new, jobs):
            yield self._took(*chosen(trial, [results[next(numbers)] for _ in own]))

    def _train_to(self, rung: Rung, cohort: list[RunningTrial]) -> Iterator[RunningTrial]:
        """Train those that are below a rung up to it."""
        below = [t for t in cohort if t.curve is None or t.curve.steps[-1] < rung.steps]
        begun = [(t, self.folder.state(t.number, t.curve.steps[-1]) if t.curve else None) for t in below]
        jobs, checkpoints = [self._job(t, state, rung) for t, state in begun], Checkpoints(self.folder.states)
        for number, result in self.train(jobs):
            trial, state = begun[number]
            yield self._took(replace(trial, curve=trial.curve if state else None), result)
            checkpoints.of(jobs[number]).drop()

    def _took(self, trial: RunningTrial, result: JobResult) -> RunningTrial:
        """A trial with what its next part gave, which is stored; a trial without a curve of one that failed."""
        if result.curve is None:
            trial.trial.set_user_attr("reason", result.failure)
            trial.trial.set_user_attr("state", "failed")
            return replace(trial, curve=None, failed=True)
        curve = trial.curve.then(result.curve) if trial.curve else result.curve
        if result.state is not None:
            self.folder.write_state(trial.number, curve.steps[-1], result.state)
        trial.trial.set_user_attr("curve", curve.to_json())  # a kill before this leaves the older state to go on from
        self.folder.drop_states_before(trial.number, curve.steps[-1])
        return replace(trial, curve=curve)

    def _job(self, trial: RunningTrial, state: bytes | None, rung: Rung) -> Job:
        """The part of a run up to a rung; from the beginning where no state is left to resume from."""
        return Job(
            trial.configuration,
            self.spec.seed,
            self.spec.steps,
            rung.steps,
            rows=rung.rows,
            state=state,
            keep_state=rung.steps < self.spec.steps,
            proxy=True,
            measure=() if state else tuple(o.name for o in self.objectives.measured),
        )

    def _promoted(self, rung: Rung, cohort: list[RunningTrial]) -> set[int]:
        """The trials that are promoted at a rung: decided once, so that a resumed study does not decide again."""
        kept = {t.number for t in cohort if t.trial.user_attrs.get("promoted", 0) >= rung.steps}
        if not kept:
            kept = self._compared(rung, [t.number for t in cohort])
            for trial in (t for t in cohort if t.number in kept):
                trial.trial.set_user_attr("promoted", rung.steps)
        return kept

    def _compared(self, rung: Rung, cohort: list[int]) -> set[int]:
        """Compare a cohort with every trial that ever reached the rung."""
        costs = {}
        for trial in map(self._read, self.study.get_trials(deepcopy=False)):
            if trial.curve and (at := trial.curve.at(rung.steps)) is not None:
                costs[trial.number] = self.objectives.rung_costs(trial, at)
        numbers = list(costs)
        chosen = promoted(list(costs.values()), [numbers.index(n) for n in cohort], self.spec.eta)
        return {numbers[i] for i in chosen}

    def _read(self, trial: FrozenTrial) -> TrialRecord:
        """A stored trial; one that has ended is read once."""
        if trial.number not in self._ended:
            found = record(trial)
            if not trial.state.is_finished():
                return found
            self._ended[trial.number] = found
        return self._ended[trial.number]

    def _complete(self, trial: RunningTrial) -> TrialRecord:
        """Tell Optuna the values of a trial that was trained to the end; a value that is missing is a failure."""
        stored = self._stored(trial)
        values = self.objectives.values(stored)
        if values is None:
            trial.trial.set_user_attr("reason", "an objective could not be measured")
            trial.trial.set_user_attr("state", "failed")
            return self._end(trial, TrialState.FAIL)
        self.study.tell(trial.trial, self.objectives.told(values))
        return self._stored(trial)

    def _end(self, trial: RunningTrial, state: TrialState) -> TrialRecord:
        self.study.tell(trial.trial, state=state)
        return self._stored(trial)

    def _stored(self, trial: RunningTrial) -> TrialRecord:
        return record(self.study.get_trials(deepcopy=False)[trial.number])
