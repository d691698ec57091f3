"""A cohort climbs the rungs: train to the next one, let the front go on, stop the rest, tell Optuna. No torch.

Optuna refuses report() and should_prune() in a study of several objectives, so the rungs are ours: what was measured
is in the trial's user attributes, and a stopped trial is told as pruned.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import log10

import numpy as np
import optuna
from optuna.trial import TrialState

from autopeft.configuration import Configuration
from autopeft.proxy.curve import Curve
from autopeft.proxy.job import Job, JobResult
from autopeft.study.folder import StudyFolder
from autopeft.study.promotion import promoted
from autopeft.study.rungs import Rung
from autopeft.study.spec import StudySpec

Train = Callable[[list[Job]], Iterator[tuple[int, JobResult]]]  # jobs -> (number, what it gave), as they end


@dataclass
class Entrant:
    """A running trial and what it has measured so far."""

    trial: optuna.Trial
    configuration: Configuration
    trainable: int
    curve: Curve | None = None


def race(
    study: optuna.Study,
    cohort: list[Entrant],
    ladder: tuple[Rung, ...],
    spec: StudySpec,
    folder: StudyFolder,
    train: Train,
) -> Iterator[int]:
    """Take a cohort up the ladder; gives the number of each trial as it ends."""
    for rung in ladder:
        yield from climb(study, cohort, rung, spec, folder, train)
        if rung != ladder[-1]:
            yield from stop(study, cohort, rung, spec)
    for entrant in cohort:
        values = [log10(max(1, entrant.trainable)), entrant.curve.validation_score[-1]]
        study.tell(entrant.trial, values)
        yield entrant.trial.number
    folder.drop_states()


def climb(
    study, cohort: list[Entrant], rung: Rung, spec: StudySpec, folder: StudyFolder, train: Train
) -> Iterator[int]:
    """Train those that are below the rung up to it; whoever fails leaves the cohort."""
    below = [e for e in cohort if e.curve is None or e.curve.steps[-1] < rung.steps]
    for number, done in train([job_of(e, rung, spec, folder) for e in below]):
        entrant = below[number]
        if done.failure:
            entrant.trial.set_user_attr("reason", done.failure)
            entrant.trial.set_user_attr("state", "failed")
            study.tell(entrant.trial, state=TrialState.FAIL)
            cohort.remove(entrant)
            yield entrant.trial.number
            continue
        if done.state is not None:
            folder.write_state(entrant.trial.number, done.state)
        entrant.curve = entrant.curve.then(done.curve) if entrant.curve else done.curve
        entrant.trial.set_user_attr("curve", entrant.curve.to_json())


def job_of(entrant: Entrant, rung: Rung, spec: StudySpec, folder: StudyFolder) -> Job:
    """The stretch to the next rung; from zero where no state is left to go on from."""
    state = folder.state(entrant.trial.number) if entrant.curve else None
    if state is None:
        entrant.curve = None
    last = rung.steps == spec.full_steps
    return Job(
        entrant.configuration,
        spec.seed,
        spec.full_steps,
        rung.steps,
        rows=rung.rows,
        state=state,
        keep_state=not last,
        proxy=True,
    )


def stop(study: optuna.Study, cohort: list[Entrant], rung: Rung, spec: StudySpec) -> Iterator[int]:
    """Decide who goes on, once; the others are told as pruned."""
    on = {e.trial.number for e in cohort if e.trial.user_attrs.get("promoted", 0) >= rung.steps}
    if not on:
        on = better(study, [e.trial.number for e in cohort], rung, spec)
        for entrant in (e for e in cohort if e.trial.number in on):
            entrant.trial.set_user_attr("promoted", rung.steps)
    for entrant in [e for e in cohort if e.trial.number not in on]:
        study.tell(entrant.trial, state=TrialState.PRUNED)
        cohort.remove(entrant)
        yield entrant.trial.number


def better(study: optuna.Study, cohort: list[int], rung: Rung, spec: StudySpec) -> set[int]:
    """Compare the cohort with every trial that ever reached the rung, on parameters and validation loss."""
    points = {}
    for trial in study.get_trials(deepcopy=False):
        curve = trial.user_attrs.get("curve")
        if curve and rung.steps in curve["steps"]:
            loss = curve["validation_loss"][curve["steps"].index(rung.steps)]
            points[trial.number] = (trial.user_attrs["trainable"], loss)
    numbers = list(points)
    chosen = promoted(np.array(list(points.values())), [numbers.index(n) for n in cohort], spec.eta)
    return {numbers[i] for i in chosen}
