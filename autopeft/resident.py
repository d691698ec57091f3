"""The resident backbone of a study, and who trains on it."""

import platform
import time
from importlib.metadata import version
from typing import Any

import numpy as np
import torch

from autopeft.backbone.loading import Backbone, load_backbone
from autopeft.backbone.prefix import PrefixCache
from autopeft.base.progress import Progress
from autopeft.prepare import Prepared
from autopeft.proxy.job import Job
from autopeft.proxy.precision import Precision, choose_precision, fixed_precision, resident
from autopeft.proxy.subset import proxy_rows
from autopeft.proxy.trainer import Trainer
from autopeft.proxy.workers import Workers, choose_workers, fixed_workers
from autopeft.study.spec import StudySpec
from autopeft.study.time_plan import Pace
from autopeft.tasks.tokens import TokenisedTask, tokenise

PACKAGES = ("autopeft", "torch", "transformers", "peft", "optuna", "datasets", "scikit-learn", "plotly")


def load_resident(
    prepared: Prepared, stored: dict[str, Any] | None, progress: Progress
) -> tuple[Backbone, TokenisedTask, Precision]:
    """The backbone in the format that steps fastest (as stored, when resuming), and the data tokenised once."""
    spec, task, shapes = prepared.spec, prepared.task, prepared.shapes
    words = spec.words(task.label_names)
    if stored:
        precision = Precision(**stored["environment"]["precision"])
        backbone = resident(spec.model, task.outputs, precision, spec.trust_remote_code, words, task.kind)
        return backbone, tokenise(task, backbone.tokenizer, spec.max_length, spec.pattern), precision
    backbone = load_backbone(
        spec.model,
        task.outputs,
        trust_remote_code=spec.trust_remote_code,
        words=words,
        kind=task.kind,
        note=progress.note,
    )
    tokenised = tokenise(task, backbone.tokenizer, spec.max_length, spec.pattern)
    uniform = prepared.limits.setting.uniform_lora
    if spec.deterministic:
        precision = fixed_precision(backbone, spec.precision)
    else:
        precision = choose_precision(backbone, tokenised, uniform, spec.batch_size, spec.precision)
    progress.note(
        f"Backbone: {spec.model}, {shapes.backbone_parameters:,} parameters, {shapes.num_layers} layers, head of "
        f"{shapes.head_parameters:,}; {precision}."
    )
    backbone = resident(spec.model, task.outputs, precision, spec.trust_remote_code, words, task.kind)
    return backbone, tokenised, precision


def load_workers(
    prepared: Prepared,
    backbone: Backbone,
    tokenised: TokenisedTask,
    progress: Progress,
    rows: np.ndarray | None = None,
    stored: dict[str, Any] | None = None,
) -> Workers:
    """Open the workers: with stored hidden states of frozen layers, in as many processes as finish the most steps.

    Args:
        prepared: the study.
        backbone: the resident model.
        tokenised: its task.
        progress: told how many processes there are.
        rows: the training rows of trials, None for all.
        stored: study.json of a study that is resumed: its number of processes stays, unless another one is asked for.
    """
    spec = prepared.spec
    prefix = PrefixCache(backbone, tokenised, spec.prefix_bytes, note=progress.note) if spec.prefix_bytes else None
    uniform = prepared.limits.setting.uniform_lora
    trainer = Trainer(
        backbone,
        tokenised,
        spec.batch_size,
        spec.head_rate,
        prefix,
        spec.packing and not spec.deterministic,
        rows,
        uniform,
    )
    probe = Job(uniform, spec.seed, 1, 1)
    kept = stored["environment"].get("workers") if stored else None
    wanted = spec.workers or kept or (fixed_workers(trainer) if spec.deterministic else None)
    workers, seconds = choose_workers(trainer, probe, wanted)
    timings = ", ".join(f"{k} {1000 * v:.0f} ms" for k, v in seconds.items())
    progress.note(
        f"Training in {workers} process{'es' if workers > 1 else ''}"
        + (f" ({timings} per step)" if timings else "")
        + (
            f"; up to {prefix.bytes / 1e6:,.0f} MB of hidden states are kept at layers {prefix.boundaries}."
            if prefix and prefix.boundaries
            else "."
        )
    )
    return Workers(trainer, workers, seconds)


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


def environment(precision: Precision) -> dict[str, Any]:
    """Versions, machine and precision, for the report."""
    return {
        "versions": {p: version(p) for p in PACKAGES},
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "precision": precision.to_json(),
        "started": time.strftime("%Y-%m-%d %H:%M:%S"),
        "wall_seconds": 0.0,
    }
