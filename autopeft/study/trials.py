"""The Optuna study: ask a cohort, count, let it climb the rungs, tell; a kill leaves nothing to do twice. No torch."""

import logging
import time
import warnings
from collections.abc import Callable, Iterable

import optuna
from optuna.storages import JournalStorage
from optuna.trial import TrialState
from sqlalchemy.exc import SQLAlchemyError

from autopeft.base.errors import AutopeftError
from autopeft.configuration import Configuration
from autopeft.methods import count
from autopeft.proxy.curve import Curve
from autopeft.space import SearchSpace, anchors
from autopeft.study.folder import StudyFolder
from autopeft.study.journal import WholeLineJournal
from autopeft.study.race import Entrant, Train, race
from autopeft.study.records import TrialRecord
from autopeft.study.rungs import Rung
from autopeft.study.sampler import BudgetedSampler, TrialChooser, ended
from autopeft.study.spec import StudySpec

INTERRUPTED = "interrupted"


def open_study(folder: StudyFolder, spec: StudySpec) -> optuna.Study:
    """The study's Optuna side: parameters (log10) down, the metric up. Made if it does not exist yet."""
    logging.getLogger("optuna").setLevel(logging.WARNING)
    storage = spec.storage or JournalStorage(WholeLineJournal(str(folder.journal)))
    try:
        study = optuna.create_study(
            storage=storage,
            study_name=folder.path.resolve().name,
            load_if_exists=True,
            directions=["minimize", "maximize"],
        )
    except (ValueError, ImportError, OSError, SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        raise AutopeftError(
            f"The Optuna storage '{spec.storage or folder.journal}' cannot be opened: {error}."
        ) from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names(["log10_trainable", spec.metric])
    return study


def run_trials(
    study: optuna.Study,
    space: SearchSpace,
    spec: StudySpec,
    folder: StudyFolder,
    ladder: tuple[Rung, ...],
    train: Train,
    report: Callable[[TrialRecord], None],
    first: Iterable[dict] = (),
) -> None:
    """Ask for cohorts until spec.trials have ended or the timeout is over; what a trial measured is stored at once.

    Trials that a kill or Ctrl-C left on a rung go on from there. first: parameters of configurations to try first.
    """
    deadline = time.monotonic() + spec.timeout if spec.timeout else None
    if not study.get_trials(deepcopy=False):
        for parameters in first:
            study.enqueue_trial(parameters)
    cohort = unfinished(study)
    while True:
        open_to_more = (deadline is None or time.monotonic() < deadline) and not any(e.curve for e in cohort)
        while open_to_more and len(cohort) < spec.cohort and len(ended(study)) + len(cohort) < spec.trials:
            entrant = ask(study, space, spec, len(ended(study)) + len(cohort))
            if entrant is None:
                report(records(study)[-1])
            else:
                cohort.append(entrant)
        if not cohort:
            return
        for number in race(study, cohort, ladder, spec, folder, train):
            report(record(study.get_trials(deepcopy=False)[number]))
        cohort = []


def ask(study: optuna.Study, space: SearchSpace, spec: StudySpec, number: int) -> Entrant | None:
    """The next configuration, counted; None if it was over the budget, which is recorded. number: trials before it."""
    study.sampler = sampler = BudgetedSampler(spec.sampler, seed=spec.seed * 100_003 + number)
    enqueue_anchor(study, space, number)
    trial = study.ask()
    configuration = space.walk(TrialChooser(trial, sampler), exclude=finished_methods(study, space))
    trainable = count(configuration, space.shapes)
    trial.set_user_attr("trainable", trainable)
    trial.set_user_attr("configuration", configuration.to_json())
    if space.fits(trainable):
        return Entrant(trial, configuration, trainable)
    reason = f"{trainable:,} parameters are over the budget of {space.budget:,}"
    trial.set_user_attr("reason", reason)
    trial.set_user_attr("state", "over_budget")
    study.tell(trial, state=TrialState.FAIL)
    return None


def unfinished(study: optuna.Study) -> list[Entrant]:
    """The trials that a kill left on a rung, to be taken up; one left half asked is closed and its parameters queued."""
    found = []
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        attrs = trial.user_attrs
        if "configuration" in attrs:
            curve = Curve.from_json(attrs["curve"]) if "curve" in attrs else None
            configuration = Configuration.from_json(attrs["configuration"])
            found.append(Entrant(optuna.Trial(study, trial._trial_id), configuration, attrs["trainable"], curve))
        else:
            study.tell(trial.number, state=TrialState.FAIL)
            if trial.params:
                study.enqueue_trial(trial.params)
    return found


def enqueue_anchor(study: optuna.Study, space: SearchSpace, number: int) -> None:
    """Each method begins with its anchor; what is queued already comes first."""
    first = anchors(space)
    if number < len(first) and not study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
        study.enqueue_trial(first[number])


def finished_methods(study: optuna.Study, space: SearchSpace) -> set[str]:
    """Methods with one discrete configuration only (the linear probe) that have been tried: not asked for again."""
    single = {b.name for b in space.branches if b.configurations * space.trainings(b) == 1}
    return single & {t.params.get("method") for t in study.get_trials(deepcopy=False)}


def record(trial: optuna.trial.FrozenTrial) -> TrialRecord:
    """A stored Optuna trial as a TrialRecord."""
    attrs = trial.user_attrs
    configuration = Configuration.from_json(attrs["configuration"]) if "configuration" in attrs else None
    curve = Curve.from_json(attrs["curve"]) if "curve" in attrs else None
    states = {
        TrialState.COMPLETE: "complete",
        TrialState.PRUNED: "pruned",
        TrialState.RUNNING: "running",
        TrialState.WAITING: "waiting",
    }
    state = states.get(trial.state, attrs.get("state", INTERRUPTED))
    return TrialRecord(trial.number, state, configuration, attrs.get("trainable"), curve, attrs.get("reason"))


def records(study: optuna.Study) -> tuple[TrialRecord, ...]:
    """Every trial that was started, in order."""
    return tuple(r for r in map(record, study.get_trials(deepcopy=False)) if r.state != "waiting")
