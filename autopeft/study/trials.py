"""The search's trials: ask for a cohort, count it, halve it, tell; a kill leaves nothing to do twice."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import optuna
from optuna.trial import TrialState

from autopeft.base.steady import steady
from autopeft.configuration import Configuration
from autopeft.executor.workers import Stages, Workers
from autopeft.methods import count
from autopeft.objectives import Limits
from autopeft.proxy.curve import Curve
from autopeft.space import SearchSpace, parameters_of
from autopeft.space.portfolio import Portfolio, first_configurations, portfolio
from autopeft.space.rates import rate_rule
from autopeft.study.halving import Halving, Report
from autopeft.study.journal import written_together
from autopeft.study.proposals import Proposals
from autopeft.study.records import TrialRecord
from autopeft.study.running import RunningTrial
from autopeft.study.sampler import MULTITASK_GP, LimitedSampler, SearchSuggester
from autopeft.study.stored import INTERRUPTED, ended, frozen, record, records
from autopeft.surrogate.gain_model import gain_model

SEEDS_APART = 100_003  # between the draws of two studies' trials
BEFORE_PROPOSALS = 10  # of what comes first, after which the rest is among what may be proposed


@dataclass(frozen=True)
class Trials:
    """The trials of one study: what is asked for, and how it is trained.

    Attributes:
        halving: takes cohorts through the rungs and tells Optuna.
        workers: train them.
        space: what is sampled.
        limits: what no trial may exceed; counted of every trial, beside the objectives.
        first: parameters of configurations to try before all others.
    """

    halving: Halving
    workers: Workers
    space: SearchSpace
    limits: Limits
    first: tuple[Mapping[str, Any], ...] = ()
    _ended: dict[int, TrialRecord] = field(default_factory=dict, compare=False, repr=False)

    def run(self, report: Report, until: float = float("inf")) -> None:
        """Ask for cohorts until the study's number of trials has ended or its timeout is over.

        A cohort is asked for whenever a worker would be idle, so the next one may begin while the last one's slowest trial
        holds it up at a rung; where no timing may decide, once the last one has ended. What a trial measured is stored at
        once; cohorts that a kill or Ctrl-C left on a rung are resumed first.

        Args:
            report: told each trial as it ends.
            until: `steady()` after which no cohort is asked for.
        """
        spec, study = self.halving.spec, self.halving.study
        deadline = min(until, steady() + spec.timeout) if spec.timeout else until
        self._queue_first()
        left = deque(cohorts_of(unfinished(study)))
        alive = {trial.number for cohort in left for trial in cohort}

        def ended_too(trial: TrialRecord) -> None:
            alive.discard(trial.number)
            report(trial)

        def more() -> Stages | None:
            if alive and not left and spec.deterministic:
                return None
            cohort = left.popleft() if left else []
            if not any(trial.curve for trial in cohort):  # who has begun is halved among those who began with it
                self._fill(cohort, alive, deadline, ended_too)
            return self.halving.run(cohort, ended_too) if cohort else None

        self.workers.run_stages(more)
        self.halving.folder.drop_states()

    def _queue_first(self) -> None:
        """Queue what is tried before all others, as long as nothing has been asked for: a kill may have come in between."""
        queued = self.halving.study.get_trials(deepcopy=False)
        if all(t.state == TrialState.WAITING for t in queued):
            for parameters in self.first[len(queued) :]:
                self.halving.study.enqueue_trial(dict(parameters))

    def _fill(self, cohort: list[RunningTrial], alive: set[int], deadline: float, report: Report) -> None:
        """Add new trials to a cohort up to its size."""
        spec, study = self.halving.spec, self.halving.study
        number = len(ended(study)) + len(alive)
        with written_together(study):  # or else a kill in between would leave what was proposed with the rest
            while len(cohort) < spec.cohort and number < spec.trials and steady() < deadline:
                for wanted in self.wanted(number, min(spec.cohort - len(cohort), spec.trials - number)):
                    asked = self.ask(number, wanted)
                    number += 1
                    if isinstance(asked, RunningTrial):
                        asked.trial.set_user_attr("cohort", min([t.number for t in cohort], default=asked.number))
                        alive.add(asked.number)
                        cohort.append(asked)
                    else:
                        report(asked)

    def ask(self, number: int, wanted: Configuration | None) -> RunningTrial | TrialRecord:
        """Ask for the next configuration and count it.

        Args:
            number: how many trials there are before it; with the seed it decides every draw.
            wanted: what is tried unless something is queued; None leaves it to the sampler.

        Returns:
            The trial; a record of it where it turned out to be over a limit, which is stored and not trained.
        """
        spec, study = self.halving.spec, self.halving.study
        study.sampler = sampler = LimitedSampler(spec.sampler, seed=spec.seed * SEEDS_APART + number)
        if wanted and not study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            study.enqueue_trial(self._parameters(wanted))
        trial = study.ask()
        suggester = SearchSuggester(trial, sampler)
        configuration = self.space.sample(suggester, exclude=finished_methods(study, self.space))
        rates = self._rates(configuration, suggester)
        if rates:
            configuration = replace(configuration, learning_rate=rates[len(rates) // 2])
            trial.set_user_attr("started", list(rates))
        trial.set_user_attr("trainable", count(configuration, self.space.shapes))
        trial.set_user_attr("counted", self.halving.objectives.count(configuration, self.limits))
        trial.set_user_attr("configuration", configuration.to_json())
        reason = self.limits.exceeded(configuration)
        if reason is None:
            return RunningTrial(trial, configuration, rates=rates)
        trial.set_user_attr("reason", reason)
        trial.set_user_attr("state", "over_limit")
        study.tell(trial, state=TrialState.FAIL)
        return record(frozen(trial))

    def _rates(self, configuration: Configuration, suggester: "SearchSuggester") -> tuple[float, ...]:
        """The rates with which a trial starts; none where its rate was given, or where nothing but the head is trained."""
        if suggester.rate_given or configuration.method == "head_only":
            return ()
        rule, spec = rate_rule(), self.halving.spec
        return rule.around(rule.rate(configuration, self.space.shapes, spec.length), spec.rates)

    def wanted(self, number: int, most: int) -> list[Configuration | None]:
        """What is tried next: the portfolio or each method with its default, then what is proposed, then what is sampled.

        Args:
            number: how many trials there are before it.
            most: how many are wanted at most; one at least is given.
        """
        spec, study = self.halving.spec, self.halving.study
        proposed = spec.sampler == MULTITASK_GP and number >= BEFORE_PROPOSALS
        if proposed:
            rest, seed = self._first[BEFORE_PROPOSALS:], spec.seed * SEEDS_APART + number
            if found := self._proposals.next(records(study, self._ended), rest, seed, most):
                return [*found]
        end = BEFORE_PROPOSALS if spec.sampler == MULTITASK_GP and not proposed else len(self._first)
        return [*self._first[number : min(end, number + most)]] or [None]

    @cached_property
    def _proposals(self) -> Proposals:
        return Proposals(self.space, self.halving.objectives, gain_model())

    @cached_property
    def _first(self) -> list[Configuration]:
        """Of which the rates are chosen when a trial starts."""
        begin_with = portfolio() if self.halving.spec.portfolio else Portfolio()
        return first_configurations(self.space, begin_with)

    def _parameters(self, configuration: Configuration) -> dict[str, Any]:
        found = parameters_of(self.space, configuration).parameters
        return {k: v for k, v in found.items() if not k.endswith(".learning_rate")}


def unfinished(study: optuna.Study) -> list[RunningTrial]:
    """The trials that a kill left on a rung; one left half asked is closed and what was queued of it is queued again.

    The next ask draws again what that one drew: its draws go by how many trials have ended.
    """
    found = []
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        attrs = trial.user_attrs
        if "cohort" in attrs or "curve" in attrs:  # release 0.1 had no cohorts
            curve = Curve.from_json(attrs["curve"]) if "curve" in attrs else None
            configuration = Configuration.from_json(attrs["configuration"])
            rates = () if "rates" in attrs else tuple(attrs.get("started", ()))
            found.append(RunningTrial(optuna.Trial(study, trial._trial_id), configuration, curve, rates))
        else:
            study.tell(trial.number, state=TrialState.FAIL)
            if queued := trial.system_attrs.get("fixed_params"):
                study.enqueue_trial(queued)
    return found


def cohorts_of(trials: Sequence[RunningTrial]) -> list[list[RunningTrial]]:
    """Trials by the cohort that they were asked for with; all in one where that is not known."""
    found: dict[int, list[RunningTrial]] = {}
    for trial in trials:
        found.setdefault(trial.trial.user_attrs.get("cohort", -1), []).append(trial)
    return list(found.values())


def finished_methods(study: optuna.Study, space: SearchSpace) -> set[str]:
    """Methods with one discrete configuration only (the linear probe) that have been tried: not asked for again."""
    single = {b.name for b in space.branches if b.configurations * space.trainings(b) == 1}
    trials = (t for t in study.get_trials(deepcopy=False) if t.params.get("method") in single)
    return {t.params["method"] for t in trials if record(t).state != INTERRUPTED}
