"""Optuna's trials -> TrialRecords: what a trial's user attributes hold."""

import optuna
from optuna.trial import TrialState

from autopeft.base.checked import checked
from autopeft.configuration import Configuration
from autopeft.proxy.curve import Curve
from autopeft.study.records import TrialRecord

INTERRUPTED = "interrupted"
STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}
FAILED = ("failed", "over_limit", "over_budget")  # for a reason of their own; the last was release 0.1's word


def record(trial: optuna.trial.FrozenTrial) -> TrialRecord:
    """A stored Optuna trial as a TrialRecord. Raises ValueError or the like for attributes that no search has set."""
    attrs = trial.user_attrs
    trainable = attrs.get("trainable")
    made = TrialRecord(
        trial.number,
        STATES.get(trial.state, attrs.get("state", INTERRUPTED)),
        Configuration.from_json(attrs["configuration"]) if "configuration" in attrs else None,
        trainable,
        Curve.from_json(attrs["curve"]) if "curve" in attrs else None,
        attrs.get("reason"),
        attrs.get("counted") or counted_before(trainable),
    )
    return checked(TrialRecord, vars(made))


def frozen(trial: optuna.Trial) -> optuna.trial.FrozenTrial:
    """A trial as it is stored, without a list of all."""
    return trial.study._storage.get_trial(trial._trial_id)


def counted_before(trainable: int | None) -> dict[str, float]:
    """What release 0.1 had counted of a trial or outcome."""
    return {} if trainable is None else {"parameters": trainable}


def records(study: optuna.Study, known: dict[int, TrialRecord] | None = None) -> tuple[TrialRecord, ...]:
    """Every trial that was started, in order.

    Args:
        study: whose trials they are.
        known: number -> trial that had ended when it was read before; what has ended since is added.
    """
    known, trials = {} if known is None else known, study.get_trials(deepcopy=False)
    known |= {t.number: record(t) for t in trials if t.state.is_finished() and t.number not in known}
    found = (known.get(t.number) or record(t) for t in trials)
    return tuple(r for r in found if r.state != "waiting")


def ended(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Trials that count: trained, or failed for a reason of their own (not for having been interrupted)."""
    return [
        t
        for t in study.get_trials(deepcopy=False)
        if t.state in (TrialState.COMPLETE, TrialState.PRUNED)
        or (t.state == TrialState.FAIL and t.user_attrs.get("state") in FAILED)
    ]
