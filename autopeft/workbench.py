"""What a running study holds: data, resident backbone, space, Optuna study, folder. Opened anew or resumed."""

import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import optuna
import torch
from transformers.utils import logging as transformers_logging

from autopeft.backbone.loading import Backbone, load_backbone
from autopeft.backbone.shapes import BackboneShapes
from autopeft.configuration import Configuration
from autopeft.errors import AutopeftError
from autopeft.importance import score_layers
from autopeft.importance.scores import LayerScores
from autopeft.prepare import Prepared
from autopeft.progress import Progress
from autopeft.proxy.curve import Curve
from autopeft.proxy.precision import Precision, choose_precision, resident
from autopeft.proxy.training import Diverged, train
from autopeft.space import SearchSpace
from autopeft.study.folder import StudyFolder
from autopeft.study.full_length import uniform_lora
from autopeft.study.spec import StudySpec, check_same
from autopeft.study.trials import open_study
from autopeft.tasks.task import Task
from autopeft.tasks.tokens import TokenisedTask, tokenise

FULL_EVALUATIONS = 2  # points of a full-length learning curve
PACKAGES = ("autopeft", "torch", "transformers", "peft", "optuna", "datasets", "scikit-learn", "plotly")


@dataclass
class Workbench:
    """One open study. Built by open_workbench; the search runs on it."""

    spec: StudySpec
    folder: StudyFolder
    progress: Progress
    task: Task
    tokenised: TokenisedTask
    backbone: Backbone
    space: SearchSpace
    study: optuna.Study

    @property
    def shapes(self) -> BackboneShapes:
        return self.space.shapes

    def train_proxy(self, configuration: Configuration) -> Curve:
        """A trial's short run; the study's seed decides batches and initial values, so that trials are compared in pairs."""
        return self.train(configuration, seed=self.spec.seed, full=False, test=False)

    def train(
        self,
        configuration: Configuration,
        *,
        seed: int,
        full: bool,
        test: bool,
        steps: int | None = None,
        keep: Callable[[torch.nn.Module], None] | None = None,
    ) -> Curve:
        """Train on the resident backbone, for the spec's steps unless told otherwise.

        Raises ArithmeticError or MemoryError for a run that failed by itself.
        """
        try:
            return train(
                self.backbone,
                self.tokenised,
                configuration,
                seed=seed,
                batch_size=self.spec.batch_size,
                head_learning_rate=self.spec.head_learning_rate,
                steps=steps or (self.spec.full_steps if full else self.spec.proxy_steps),
                evaluations=FULL_EVALUATIONS if full else 1,
                test=test,
                keep=keep,
            )
        except Diverged as error:
            raise ArithmeticError(str(error)) from error
        except torch.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            raise MemoryError(str(error).split(".")[0]) from error

    def add_seconds(self, seconds: float) -> None:
        """Add this sitting's wall time to the study's."""
        data = self.folder.read()
        data["environment"]["wall_seconds"] = data["environment"].get("wall_seconds", 0) + seconds
        self.folder.write({k: v for k, v in data.items() if k != "format"})


def open_workbench(prepared: Prepared, path: Path, progress: Progress) -> Workbench:
    """Load the backbone, score the layers, build the space; a folder that holds this study is taken up again.

    Raises AutopeftError when the folder holds another study.
    """
    spec, task, shapes = prepared.spec, prepared.task, prepared.shapes
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    folder = StudyFolder(path)
    stored = stored_study(prepared, folder)
    for note in task.notes:
        progress.note(f"Data: {note}")
    backbone, tokenised, precision = load_resident(prepared, stored, progress)
    if not stored:
        folder.create()
        folder.write(
            {
                "spec": spec.model_dump(),
                "task": task.summary(),
                "shapes": shapes.to_json(),
                "budget": prepared.budget,
                "configurations": prepared.space().configurations,
                "environment": environment(precision),
            }
        )
    space = prepared.space(layer_scores(spec, folder, backbone, tokenised, progress))
    for method, why in space.refused.items():
        progress.note(f"Left out: {method} ({why}).")
    return Workbench(spec, folder, progress, task, tokenised, backbone, space, open_study(folder, spec))


def stored_study(prepared: Prepared, folder: StudyFolder) -> dict | None:
    """study.json of a folder that is to be resumed, None for a new one. Raises AutopeftError if it is another study's."""
    if not folder.exists:
        return None
    stored = folder.read()
    check_same(prepared.spec, stored["spec"], str(folder.path))
    if stored["task"]["fingerprint"] != prepared.task.fingerprint:
        raise AutopeftError(
            f"The study in {folder.path} was made with other data than {prepared.spec.data} holds now: choose another "
            "folder with --out."
        )
    return stored


def load_resident(
    prepared: Prepared, stored: dict | None, progress: Progress
) -> tuple[Backbone, TokenisedTask, Precision]:
    """The backbone in the format that steps fastest (as stored, when resuming), and the data tokenised once."""
    spec, task, shapes = prepared.spec, prepared.task, prepared.shapes
    classes = len(task.label_names)
    if stored:
        precision = Precision(**stored["environment"]["precision"])
        backbone = resident(spec.model, classes, precision, spec.trust_remote_code)
        return backbone, tokenise(task, backbone.tokenizer, spec.max_length), precision
    backbone = load_backbone(spec.model, classes, trust_remote_code=spec.trust_remote_code, progress=progress.note)
    tokenised = tokenise(task, backbone.tokenizer, spec.max_length)
    precision = choose_precision(
        backbone, tokenised, uniform_lora(shapes, prepared.budget), spec.batch_size, spec.precision
    )
    progress.note(
        f"Backbone: {spec.model}, {shapes.backbone_parameters:,} parameters, {shapes.num_layers} layers, head of "
        f"{shapes.head_parameters:,}; {precision}."
    )
    return resident(spec.model, classes, precision, spec.trust_remote_code), tokenised, precision


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


def environment(precision: Precision) -> dict:
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
