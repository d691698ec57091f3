"""The resident backbone of a study, and who trains on it."""

import platform
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from autopeft.backbone.loading import Backbone, load_backbone
from autopeft.backbone.positions import positions_of
from autopeft.backbone.prefix import PrefixCache
from autopeft.base.artefacts import Artefacts
from autopeft.base.packages import Note, silent
from autopeft.base.progress import Progress
from autopeft.base.quantities import seconds_of
from autopeft.configuration import Configuration
from autopeft.executor.cluster import Cluster
from autopeft.executor.seam import Recipe
from autopeft.executor.workers import Workers, choose_workers, fixed_workers
from autopeft.prepare import Prepared
from autopeft.proxy.checkpoint import Checkpoints
from autopeft.proxy.job import Job
from autopeft.proxy.packing_file import PackingFile
from autopeft.proxy.precision import Precision, choose_precision, fixed_precision, resident
from autopeft.proxy.subset import proxy_rows
from autopeft.proxy.trainer import Trainer
from autopeft.study.folder import StudyFolder
from autopeft.study.spec import StudySpec
from autopeft.study.time_plan import Effort, Pace, stages
from autopeft.tasks.task import Task
from autopeft.tasks.token_checks import check_room, check_tokens
from autopeft.tasks.tokens import TokenisedTask, tokenise

PACKAGES = ("autopeft", "torch", "transformers", "peft", "optuna", "datasets", "scikit-learn", "plotly")


class Resident(NamedTuple):
    """The backbone that all trials share, the data for it, and the format in which it stays."""

    backbone: Backbone
    tokenised: TokenisedTask
    precision: Precision


def load_resident(prepared: Prepared, stored: dict[str, Any] | None, progress: Progress) -> Resident:
    """The backbone in the format that steps fastest (as stored, when resuming), and the data tokenised once."""
    spec, task, shapes = prepared.spec, prepared.task, prepared.shapes
    if stored:
        return open_resident(spec, task, Precision(**stored["environment"]["precision"]))
    backbone = load_backbone(
        spec.model,
        task.outputs,
        trust_remote_code=spec.trust_remote_code,
        words=spec.words(task.label_names),
        kind=task.kind,
        note=progress.note,
    )
    tokenised = tokenised_for(spec, task, backbone)
    uniform = prepared.limits.setting.uniform_lora
    if spec.deterministic:
        precision = fixed_precision(backbone, spec.precision)
    else:
        precision = choose_precision(backbone, tokenised, uniform, spec.batch_size, spec.precision)
    progress.note(
        f"Backbone: {spec.model}, {shapes.backbone_parameters:,} parameters, {shapes.num_layers} layers, head of "
        f"{shapes.head_parameters:,}; {precision}."
    )
    return Resident(load_again(spec, task, precision), tokenised, precision)


def open_resident(spec: StudySpec, task: Task, precision: Precision) -> Resident:
    """The backbone in a format that was chosen before, and the data tokenised."""
    backbone = load_again(spec, task, precision)
    return Resident(backbone, tokenised_for(spec, task, backbone), precision)


def tokenised_for(spec: StudySpec, task: Task, backbone: Backbone) -> TokenisedTask:
    """The data as the backbone reads them. Raises AutopeftError where it cannot."""
    tokenised = tokenise(task, backbone.tokenizer, spec.max_length, spec.pattern)
    check_tokens(tokenised)
    config = backbone.model.config.to_dict()
    check_room(tokenised, positions_of(config), config.get("vocab_size"), spec.model)
    return tokenised


def load_again(spec: StudySpec, task: Task, precision: Precision) -> Backbone:
    """The backbone in a format, where it stays."""
    words = spec.words(task.label_names)
    return resident(spec.model, task.outputs, precision, spec.trust_remote_code, words, task.kind)


def trainer_of(
    spec: StudySpec,
    opened: Resident,
    uniform_lora: Configuration,
    rows: Sequence[int] | None = None,
    packing: Path | None = None,
    artefacts: Artefacts | None = None,
    note: Note = silent,
) -> Trainer:
    """Who trains on a resident backbone, with stored hidden states of frozen layers.

    Args:
        spec: the study.
        opened: the backbone and its data.
        uniform_lora: what measured objectives are a ratio to.
        rows: the training rows of trials, None for all.
        packing: the study's folder, where decisions on packing are kept; None to keep none.
        artefacts: where checkpoints are kept; None to keep none.
        note: told what stored states cannot be used.
    """
    backbone, tokenised, _ = opened
    prefix = PrefixCache(backbone, tokenised, spec.prefix_bytes, note=note) if spec.prefix_bytes else None
    trainer = Trainer(
        backbone,
        tokenised,
        spec.batch_size,
        spec.head_rate,
        prefix,
        spec.packing and not spec.deterministic,
        None if rows is None else np.array(rows),
        uniform_lora,
    )
    if packing:
        trainer.packing.file = PackingFile(packing)
    if artefacts:
        trainer.checkpoints = Checkpoints(artefacts)
    return trainer


def load_workers(
    prepared: Prepared,
    opened: Resident,
    progress: Progress,
    rows: np.ndarray | None = None,
    stored: dict[str, Any] | None = None,
    folder: StudyFolder | None = None,
) -> Workers:
    """Open the workers: in as many processes as finish the most steps.

    Args:
        prepared: the study.
        opened: the resident backbone and its data.
        progress: told how many processes there are.
        rows: the training rows of trials, None for all.
        stored: study.json of a study that is resumed: its number of processes stays, unless another one is asked for.
        folder: of the study, which keeps checkpoints and decisions on packing; None for neither.
    """
    spec, uniform = prepared.spec, prepared.limits.setting.uniform_lora
    chosen = None if rows is None else [int(row) for row in rows]
    path, artefacts = (folder.path.resolve(), folder.artefacts) if folder else (None, None)
    trainer = trainer_of(spec, opened, uniform, chosen, path, artefacts, progress.note)
    recipe = Recipe(
        spec.model_dump(),
        prepared.task.fingerprint,
        versions(),
        opened.precision.to_json(),
        uniform.to_json(),
        chosen,
        str(path) if path else None,
        artefacts.place if artefacts else None,
    )
    if spec.executor == "ray":
        workers = Workers(trainer, Cluster(spec.address, spec.workers))
        workers.executor.start(recipe)
    else:
        here = stored and stored["spec"].get("executor") != "ray"  # a cluster's actors are no measure for this machine
        kept = stored["environment"].get("workers") if stored and here else None
        wanted = spec.workers or kept or (fixed_workers(trainer) if spec.deterministic else None)
        probe = Job(uniform, spec.seed, 1, 1)
        workers = choose_workers(trainer, recipe, probe, wanted, lambda step: alone(prepared, step))
    prefix, number = trainer.prefix, workers.workers
    plural = "" if number == 1 else "s" if spec.executor == "ray" else "es"
    timings = ", ".join(f"{k} {1000 * v:.0f} ms" for k, v in workers.seconds_per_step.items())
    progress.note(
        f"Training in {number} {'Ray actor' if spec.executor == 'ray' else 'process'}{plural}"
        + (f" ({timings} per step)" if timings else "")
        + (
            f"; up to {prefix.bytes / 1e6:,.0f} MB of hidden states are kept at layers {prefix.boundaries}."
            if prefix and prefix.boundaries
            else "."
        )
    )
    return workers


def alone(prepared: Prepared, step: float) -> float:
    """The seconds that a study is expected to take in one process whose training step takes so many."""
    task, spec = prepared.task, prepared.spec
    if spec.time:
        return seconds_of(spec.time)
    effort = Effort(spec.trials, spec.steps, spec.finalists, spec.seeds, spec.ceiling)
    return sum(stages(effort, Pace(step, len(task.train), len(task.validation), len(task.test)), spec).values())


def pace_of(prepared: Prepared, workers: Workers) -> Pace:
    """How fast uniform LoRA trains here with all workers together: as timed when they were chosen, else timed now."""
    task, spec = prepared.task, prepared.spec
    timed = list(workers.seconds_per_step.values())
    if timed:
        step = timed[-1] if workers.workers > 1 else timed[0]
    else:
        uniform = prepared.limits.setting.uniform_lora
        step = workers.trainer.seconds_per_step(Job(uniform, spec.seed, 1, 1)) / workers.workers
    return Pace(step, len(task.train), len(task.validation), len(task.test))


def rows_of_trials(
    spec: StudySpec, backbone: Backbone, tokenised: TokenisedTask, progress: Progress
) -> np.ndarray | None:
    """The training rows of trials, chosen the same way at every resume; None for all."""
    if spec.proxy_rows is None:
        return None
    rows = proxy_rows(spec.proxy_choice, backbone, tokenised, spec.proxy_rows, spec.seed)
    progress.note(f"Trials train on {len(rows):,} of {len(tokenised.train):,} rows, chosen by {spec.proxy_choice}.")
    return rows


def versions() -> dict[str, str]:
    """Package -> its version here, of those that results depend on."""
    return {p: version(p) for p in PACKAGES}


def environment(precision: Precision) -> dict[str, Any]:
    """Versions, machine and precision, for the report."""
    return {
        "versions": versions(),
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "precision": precision.to_json(),
        "started": time.strftime("%Y-%m-%d %H:%M:%S"),
        "wall_seconds": 0.0,
    }
