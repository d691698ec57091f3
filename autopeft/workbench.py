"""What a running study holds: its folder, its trials, its full-length runs and its workers. Opened anew or resumed."""

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from socket import gethostname
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import optuna
import torch
from transformers.utils import logging as transformers_logging

from autopeft.backbone.fingerprint import backbone_fingerprint
from autopeft.backbone.loading import Backbone
from autopeft.base.artefacts import Artefacts
from autopeft.base.errors import AutopeftError
from autopeft.base.progress import Progress
from autopeft.base.quantities import seconds_of
from autopeft.base.steady import steady
from autopeft.configuration import Scalar
from autopeft.executor.workers import Workers
from autopeft.front import front_of
from autopeft.front.contenders import contenders
from autopeft.importance import score_layers
from autopeft.importance.scores import LayerScores
from autopeft.prepare import Prepared
from autopeft.proxy.precision import pin
from autopeft.resident import environment, load_resident, load_workers, pace_of, rows_of_trials
from autopeft.space import SearchSpace, parameters_of
from autopeft.start_checks import stored_study
from autopeft.study.clock import Clock, said
from autopeft.study.folder import StudyFolder
from autopeft.study.full_length import FullLength
from autopeft.study.halving import Halving
from autopeft.study.head_rate import with_head_rate
from autopeft.study.identity import new_identity
from autopeft.study.length import ending_in_words, epochs_of, length_in_words
from autopeft.study.optuna_study import open_study
from autopeft.study.racing import Contenders
from autopeft.study.reading import read_study
from autopeft.study.rungs import rungs_of
from autopeft.study.spec import PLANNED, StudySpec
from autopeft.study.time_plan import Effort, given_fields, planned
from autopeft.study.trials import Trials
from autopeft.tasks.tokens import TokenisedTask


@dataclass(frozen=True)
class Workbench:
    """One open study; the search runs on it.

    Attributes:
        prepared: the study as it was asked for, its data and sizes.
        trials: the short runs that search.
        full_length: the trainings of finalists and baselines.
        workers: who trains.
    """

    prepared: Prepared
    folder: StudyFolder
    progress: Progress
    trials: Trials
    full_length: FullLength
    workers: Workers
    threads: int  # that this process had before a deterministic study took all but one
    clock: Clock | None = None  # of a study that was given a time

    @property
    def study(self) -> optuna.Study:
        """The study's Optuna side."""
        return self.trials.halving.study

    def close(self) -> None:
        """Stop the worker processes."""
        self.workers.close()
        torch.set_num_threads(self.threads)

    def add_seconds(self, seconds: float) -> None:
        """Add this sitting's wall time to the study's."""
        spent = self.folder.read()["environment"].get("wall_seconds", 0)
        self.keep("wall_seconds", spent + seconds)

    def keep(self, name: str, value: Any) -> None:
        """Keep a fact of how the study was made."""
        data = self.folder.read()
        data["environment"][name] = value
        self.folder.write(data)


def open_workbench(prepared: Prepared, path: Path, progress: Progress, began: float | None = None) -> Workbench:
    """Load the backbone, score the layers, build the space; a folder that holds this study is resumed.

    Args:
        prepared: the study.
        path: of its folder, which is made if it does not exist.
        progress: told what is going on.
        began: `steady()` from which the study's time counts (default: now).

    Raises:
        AutopeftError: the folder holds another study, or the least that makes sense takes longer than its time.
    """
    began = steady() if began is None else began
    task, objectives = prepared.task, prepared.objectives
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    folder = StudyFolder(path, progress.note)
    stored, spec = stored_study(prepared, folder), prepared.spec
    folder.artefacts = artefacts_of(prepared, folder, stored)
    folder.mend_runs()
    for line in filter(None, (task.reading, " ".join(task.notes))):
        progress.note(f"Data: {line}")
    threads = pin() if spec.deterministic else torch.get_num_threads()
    opened = load_resident(prepared, stored, progress)
    backbone, tokenised, precision = opened
    if tokenised.notes:
        progress.note(f"Data: {' '.join(tokenised.notes)}")
        prepared = replace(prepared, task=replace(task, notes=(*task.notes, *tokenised.notes)))
    rows = rows_of_trials(spec, backbone, tokenised, progress)
    workers = load_workers(prepared, opened, progress, rows, stored, folder)
    prepared, clock = in_time(prepared, workers, stored, began, progress)
    found = with_head_rate(prepared.spec, prepared.shapes, workers, stored, progress)
    prepared = replace(prepared, spec=found)
    spec = prepared.spec
    progress.note(f"Length: {length_note(prepared)}.")
    if not stored:
        folder.create()
        chosen = {"workers": workers.workers, "workers_seconds_per_step": workers.seconds_per_step}
        elsewhere = {"artefacts": folder.artefacts.place} if spec.artefacts else {}
        folder.write({**facts(prepared, {**environment(precision), **chosen}), **elsewhere})
    elif stored["spec"].get("margin") != spec.margin:
        folder.write({**folder.read(), "spec": {**stored["spec"], "margin": spec.margin}})
    space = prepared.space(layer_scores(spec, folder, backbone, tokenised, progress))
    for method, why in space.refused.items():
        progress.note(f"Left out: {method} ({why}).")
    first = transferred(spec.transfer, space, progress) if spec.transfer else ()
    rungs = rungs_of(spec.rungs, spec.steps, len(task.validation))
    halving = Halving(open_study(folder, spec, objectives), objectives, rungs, spec, folder)
    trials = Trials(halving, workers, space, prepared.limits, first)
    full_length = FullLength(folder, spec, prepared.shapes, objectives, prepared.limits, workers.run, racing(folder))
    return Workbench(prepared, folder, progress, trials, full_length, workers, threads, clock)


def in_time(
    prepared: Prepared, workers: Workers, stored: dict[str, Any] | None, began: float, progress: Progress
) -> tuple[Prepared, Clock | None]:
    """Plan what fits into a study's time, if it has one, or go on with what was planned.

    Args:
        prepared: the study.
        workers: whose pace is measured.
        stored: study.json of a study that is resumed; the time that it has spent counts.
        began: `steady()` at the beginning of this sitting.
        progress: told the plan.

    Raises:
        AutopeftError: the least that makes sense takes longer.
    """
    spec = prepared.spec
    if spec.time is None:
        return prepared, None
    pace, seconds = pace_of(prepared, workers), seconds_of(spec.time)
    spent = stored["environment"].get("wall_seconds", 0.0) if stored else 0.0
    given = {name: getattr(spec, name) for name in PLANNED} if stored else given_fields(spec)
    effort = Effort(**given) if stored else planned(seconds, pace, spec, given)
    epochs = epochs_of(spec, effort.full_steps, pace.train)
    spec = spec.model_copy(update={**effort.to_json(), "epochs": epochs})
    progress.note(said(effort, pace, spec))
    return replace(prepared, spec=spec), Clock(began + seconds - spent, effort, pace, spec)


def planned_in_time(prepared: Prepared) -> tuple[Prepared, str]:
    """A study with what fits into its time, and the plan in a sentence; a few steps are timed, nothing is written."""
    quiet = Progress(quiet=True)
    workers = load_workers(prepared, load_resident(prepared, None, quiet), quiet)
    try:
        prepared, clock = in_time(prepared, workers, None, steady(), quiet)
    finally:
        workers.close()
    assert clock is not None
    return prepared, said(clock.effort, clock.pace, prepared.spec)


def length_note(prepared: Prepared) -> str:
    """How long a whole run is, and when one ends before that."""
    spec = prepared.spec
    length = length_in_words(spec.steps, len(prepared.task.train), spec.batch_size)
    early = ending_in_words(spec.steps, spec.epochs)
    return f"a whole run is {length}" + (f"; finalists and baselines are {early}" if early else "")


def racing(folder: StudyFolder) -> Contenders:
    """Who gets another seed in this study, by the outcomes and the noise of one run that it is given."""
    known = cache(lambda: read_study(folder.path))  # once the trials have ended
    return lambda outcomes, noise: contenders(replace(known(), outcomes=outcomes), noise)


def facts(prepared: Prepared, environment: dict[str, Any]) -> dict[str, Any]:
    """What study.json holds."""
    return {
        **new_identity(prepared.spec, prepared.task.fingerprint, backbone_fingerprint(prepared.spec.model)),
        "spec": prepared.spec.model_dump(),
        "space": prepared.space_file.model_dump(),
        "task": prepared.task.summary(),
        "shapes": prepared.shapes.to_json(),
        "budget": prepared.budget,
        "limits": {x.objective.name: x.most for x in prepared.limits.limits},
        "configurations": prepared.space().configurations,
        "environment": environment,
    }


def artefacts_of(prepared: Prepared, folder: StudyFolder, stored: dict[str, Any] | None) -> Artefacts:
    """Where the states of a study lie: in its folder, or in one of its own where the user wants them. AutopeftError.

    Until study.json says where that is, it follows from what the study is: a kill before leaves nothing behind.
    """
    spec, path = prepared.spec, folder.path.resolve()
    if spec.artefacts is None:
        return folder.artefacts
    Artefacts(spec.artefacts).check()
    if stored:
        return Artefacts(stored["artefacts"])
    prints = new_identity(spec, prepared.task.fingerprint, backbone_fingerprint(spec.model))["fingerprints"]
    own = uuid5(NAMESPACE_URL, f"{gethostname()}{path}{sorted(prints.items())}")
    return Artefacts(spec.artefacts).within(f"{path.name}-{own}")


def transferred(folder: str, space: SearchSpace, progress: Progress) -> tuple[dict[str, Scalar], ...]:
    """Parameters of the configurations on an earlier study's front, the best first, that this space can make.

    Raises:
        AutopeftError: the folder holds no study.
    """
    found: list[dict[str, Scalar]] = []
    front = front_of(read_study(folder))
    for point in front.best_first():
        if point.configuration.method == "head_only":
            continue
        try:
            found.append(parameters_of(space, point.configuration).parameters)
        except AutopeftError as error:
            progress.note(f"Not transferred: {error}")
    progress.note(f"Transfer: the study begins with {len(found)} configurations of the front in {folder}.")
    return tuple(found)


def layer_scores(
    spec: StudySpec, folder: StudyFolder, backbone: Backbone, tokenised: TokenisedTask, progress: Progress
) -> LayerScores | None:
    """Scores from the folder, or measured now and kept there; None with importance "none"."""
    if spec.importance == "none":
        return None
    scores = folder.scores()
    if scores is None:
        scores = score_layers(spec.importance, backbone, tokenised, seed=spec.seed)
        folder.write_scores(scores)
    progress.note(
        f"Layers: {spec.importance} would freeze the lowest {scores.cut} of {len(scores.scores)}."
        + (f" {scores.warning}" if scores.warning else "")
    )
    return scores
