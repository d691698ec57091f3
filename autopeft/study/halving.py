"""Successive halving of one cohort: train to a rung, promote the front, prune the rest, tell Optuna.

Optuna refuses report() and should_prune() in a study of several objectives, so the rungs are ours: what was measured
is in the trial's user attributes.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import optuna
from optuna.trial import FrozenTrial, TrialState

from autopeft.executor.order import Answer, Order
from autopeft.executor.stored import Stored
from autopeft.executor.workers import Stage, Stages
from autopeft.objectives import Objectives
from autopeft.proxy.checkpoint import Checkpoints
from autopeft.proxy.job import Job
from autopeft.study.folder import StudyFolder
from autopeft.study.journal import written_together
from autopeft.study.promotion import promoted
from autopeft.study.rates import chosen, compared_after, orders_of
from autopeft.study.records import TrialRecord
from autopeft.study.rungs import Rung
from autopeft.study.running import RunningTrial
from autopeft.study.spec import StudySpec
from autopeft.study.stored import frozen, record

Report: TypeAlias = Callable[[TrialRecord], None]
Keep: TypeAlias = Callable[[RunningTrial], None]


@dataclass(frozen=True)
class Halving:
    """What one study's cohorts are compared with and by.

    Attributes:
        objectives: what trials are compared on.
        rungs: the lowest first; the last one is the full length.
    """

    study: optuna.Study
    objectives: Objectives
    rungs: tuple[Rung, ...]
    spec: StudySpec
    folder: StudyFolder
    _ended: dict[int, dict[int, list[float]]] = field(default_factory=dict, compare=False, repr=False)

    def run(self, cohort: list[RunningTrial], report: Report) -> Stages:
        """Take a cohort through the rungs.

        Args:
            cohort: trials that are compared with each other, and with all that reached a rung before them.
            report: told each trial as it ends.

        Yields:
            What is to be trained before the cohort goes on.
        """
        running = {t.number: t for t in cohort}

        def keep(trial: RunningTrial) -> None:
            running[trial.number] = trial
            if trial.failed:
                report(self._end(running.pop(trial.number), TrialState.FAIL))

        yield self._with_rates([t for t in cohort if t.rates and t.curve is None], keep)
        for rung in self.rungs:
            yield self._to_rung(rung, list(running.values()), keep)
            if running and rung != self.rungs[-1]:
                kept = self._promoted(rung, list(running.values()))
                for number in [n for n in running if n not in kept]:
                    report(self._end(running.pop(number), TrialState.PRUNED))
        for trial in running.values():
            report(self._complete(trial))

    def _with_rates(self, new: list[RunningTrial], keep: Keep) -> Stage:
        """All the rates of each trial are trained a little, and the best goes on."""
        until = compared_after(self.spec.steps, self.rungs[0].steps) if new else 0
        asked = [(trial, order) for trial in new for order in self._at_rates(trial, until)]
        found: dict[int, dict[int, Answer]] = {trial.number: {} for trial in new}

        def take(number: int, answer: Answer) -> None:
            trial, order = asked[number]
            mine = found[trial.number]
            mine[number] = answer
            if len(mine) == len(trial.rates):
                with written_together(self.study):  # the rate and what was measured with it
                    keep(self._took(*chosen(trial, [mine[n] for n in sorted(mine)])))
            Checkpoints(self.folder.artefacts).of(order.job).drop()

        return Stage([order for _, order in asked], take)

    def _at_rates(self, trial: RunningTrial, until: int) -> list[Order]:
        first = self._job(trial, self.rungs[0], begun=False)
        return orders_of(trial, first, until, lambda rate: self.folder.state_path(trial.number, until, rate))

    def _to_rung(self, rung: Rung, cohort: list[RunningTrial], keep: Keep) -> Stage:
        """Train those that are below a rung up to it."""
        below = [t for t in cohort if t.curve is None or t.curve.steps[-1] < rung.steps]
        begun = [(t, self._state(t)) for t in below]
        orders, checkpoints = [self._order(t, state, rung) for t, state in begun], Checkpoints(self.folder.artefacts)

        def take(number: int, answer: Answer) -> None:
            trial, state = begun[number]
            keep(self._took(replace(trial, curve=trial.curve if state else None), answer))
            checkpoints.of(orders[number].job, state.sha256 if state else "").drop()

        return Stage(orders, take)

    def _state(self, trial: RunningTrial) -> Stored | None:
        if trial.curve is None:
            return None
        step, kept = trial.curve.steps[-1], trial.trial.user_attrs.get("kept")
        return self.folder.state(trial.number, step, trial.configuration.learning_rate, kept)

    def _took(self, trial: RunningTrial, result: Answer) -> RunningTrial:
        """A trial with what its next part gave, which is stored; a trial without a curve of one that failed."""
        if result.curve is None:
            trial.trial.set_user_attr("reason", result.failure)
            trial.trial.set_user_attr("state", "failed")
            return replace(trial, curve=None, failed=True)
        curve = trial.curve.then(result.curve) if trial.curve else result.curve
        with written_together(self.study):  # a kill before this leaves the older state to go on from
            trial.trial.set_user_attr("kept", result.state.sha256 if result.state else None)
            trial.trial.set_user_attr("curve", curve.to_json())
        self.folder.drop_states_but(trial.number, result.state)
        return replace(trial, curve=curve)

    def _order(self, trial: RunningTrial, state: Stored | None, rung: Rung) -> Order:
        """The part of a run up to a rung; from the beginning where no state is left to resume from."""
        kept = self.folder.state_path(trial.number, rung.steps, trial.configuration.learning_rate)
        job = self._job(trial, rung, begun=state is not None)
        return Order(job, state, kept if rung.steps < self.spec.steps else None)

    def _job(self, trial: RunningTrial, rung: Rung, begun: bool) -> Job:
        return Job(
            trial.configuration,
            self.spec.seed,
            self.spec.steps,
            rung.steps,
            rows=rung.rows,
            proxy=True,
            measure=() if begun else tuple(o.name for o in self.objectives.measured),
        )

    def _promoted(self, rung: Rung, cohort: list[RunningTrial]) -> set[int]:
        """The trials that are promoted at a rung: decided once, so that a resumed study does not decide again."""
        kept = {t.number for t in cohort if t.trial.user_attrs.get("promoted", 0) >= rung.steps}
        if not kept:
            kept = self._compared(rung, [t.number for t in cohort])
            with written_together(self.study):
                for trial in (t for t in cohort if t.number in kept):
                    trial.trial.set_user_attr("promoted", rung.steps)
        return kept

    def _compared(self, rung: Rung, cohort: list[int]) -> set[int]:
        """Compare a cohort with every trial that ever reached the rung."""
        found = {t.number: self._costs(t, rung) for t in self.study.get_trials(deepcopy=False)}
        costs = {number: cost for number, cost in found.items() if cost is not None}
        numbers = list(costs)
        chosen = promoted(list(costs.values()), [numbers.index(n) for n in cohort], self.spec.eta)
        return {numbers[i] for i in chosen}

    def _costs(self, trial: FrozenTrial, rung: Rung) -> list[float] | None:
        """What a trial is compared by at a rung, None where it did not come so far; one that has ended is read once."""
        found = self._ended.get(trial.number)
        if found is None:
            stored = record(trial)
            steps = stored.curve.steps if stored.curve else ()
            found = {step: self.objectives.rung_costs(stored, at) for at, step in enumerate(steps)}
            if trial.state.is_finished():
                self._ended[trial.number] = found
        return found.get(rung.steps)

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
        self.folder.drop_states_but(trial.number, None)
        return self._stored(trial)

    def _stored(self, trial: RunningTrial) -> TrialRecord:
        return record(frozen(trial.trial))
