"""The Optuna study: ask, count, train, tell; what a kill leaves behind is asked again. Imports no torch."""

import logging
import time
import warnings
from collections.abc import Callable
from math import log10

import optuna
from optuna.storages import JournalStorage
from optuna.trial import TrialState
from sqlalchemy.exc import SQLAlchemyError

from autopeft.configuration import Configuration
from autopeft.errors import AutopeftError
from autopeft.methods import count
from autopeft.proxy.curve import Curve
from autopeft.space import SearchSpace, anchors
from autopeft.study.folder import StudyFolder
from autopeft.study.journal import WholeLineJournal
from autopeft.study.records import TrialRecord
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
    train: Callable[[Configuration], Curve],
    report: Callable[[TrialRecord, int], None],
) -> None:
    """Ask until spec.trials have ended or the timeout is over; each trial is stored the moment it ends.

    train raises ArithmeticError or MemoryError for a trial that fails: it is recorded and the study goes on.
    """
    ask_again(study)
    deadline = time.monotonic() + spec.timeout if spec.timeout else None
    while (done := len(ended(study))) < spec.trials and (deadline is None or time.monotonic() < deadline):
        report(one_trial(study, space, spec, train), done + 1)


def one_trial(
    study: optuna.Study, space: SearchSpace, spec: StudySpec, train: Callable[[Configuration], Curve]
) -> TrialRecord:
    """One configuration: asked, counted, trained, told."""
    study.sampler = sampler = BudgetedSampler(spec.sampler, seed=spec.seed * 100_003 + len(ended(study)))
    enqueue_anchor(study, space)
    trial = study.ask()
    configuration = space.walk(TrialChooser(trial, sampler), exclude=finished_methods(study, space))
    trainable = count(configuration, space.shapes)
    trial.set_user_attr("configuration", configuration.to_json())
    trial.set_user_attr("trainable", trainable)
    if not space.fits(trainable):
        return fail(study, trial, f"{trainable:,} parameters are over the budget of {space.budget:,}", "over_budget")
    try:
        curve = train(configuration)
    except (ArithmeticError, MemoryError) as error:
        return fail(study, trial, str(error) or "out of memory", "failed")
    except BaseException:  # Ctrl-C or a fault of ours: nothing is lost, the same configuration comes first next time
        fail(study, trial, INTERRUPTED, INTERRUPTED)
        study.enqueue_trial(trial.params)
        raise
    trial.set_user_attr("curve", curve.to_json())
    study.tell(trial, [log10(max(1, trainable)), curve.validation_score[-1]])
    return TrialRecord(trial.number, "complete", configuration, trainable, curve)


def enqueue_anchor(study: optuna.Study, space: SearchSpace) -> None:
    """Each method begins with its anchor; what an interrupted trial has queued comes first."""
    first, number = anchors(space), len(ended(study))
    if number < len(first) and not study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
        study.enqueue_trial(first[number])


def fail(study: optuna.Study, trial: optuna.Trial, reason: str, state: str) -> TrialRecord:
    trial.set_user_attr("reason", reason)
    trial.set_user_attr("state", state)
    study.tell(trial, state=TrialState.FAIL)
    return record(study.get_trials(deepcopy=False)[trial.number])


def ask_again(study: optuna.Study) -> None:
    """Trials that a kill left running are closed and their parameters queued."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        if trial.params:
            study.enqueue_trial(trial.params)


def finished_methods(study: optuna.Study, space: SearchSpace) -> set[str]:
    """Methods with one discrete configuration only (the linear probe) that have been tried: not asked for again."""
    single = {b.name for b in space.branches if b.configurations == 1}
    return single & {t.params.get("method") for t in ended(study)}


def record(trial: optuna.trial.FrozenTrial) -> TrialRecord:
    """A stored Optuna trial as a TrialRecord."""
    attrs = trial.user_attrs
    configuration = Configuration.from_json(attrs["configuration"]) if "configuration" in attrs else None
    curve = Curve.from_json(attrs["curve"]) if "curve" in attrs else None
    states = {TrialState.COMPLETE: "complete", TrialState.RUNNING: "running", TrialState.WAITING: "waiting"}
    state = states.get(trial.state, attrs.get("state", INTERRUPTED))
    return TrialRecord(trial.number, state, configuration, attrs.get("trainable"), curve, attrs.get("reason"))


def records(study: optuna.Study) -> tuple[TrialRecord, ...]:
    """Every trial that was started, in order."""
    return tuple(r for r in map(record, study.get_trials(deepcopy=False)) if r.state != "waiting")
