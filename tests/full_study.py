"""A study folder whose trials are given, on MiniLM and some hundred film reviews: what a full training starts from."""

from functools import cache

import optuna

from autopeft.backbone.loading import load_backbone
from autopeft.configuration import Configuration
from autopeft.methods import count, get_method
from autopeft.objectives import Objectives
from autopeft.procedures import get_procedure
from autopeft.proxy.curve import Curve
from autopeft.study.folder import StudyFolder
from autopeft.study.optuna_study import open_study
from autopeft.study.spec import StudySpec
from autopeft.tasks import load_task
from autopeft.tasks.tokens import tokenise
from autopeft.train.full import FullTrainer
from autopeft.train.processes import Processes
from autopeft.train.training import FullTraining
from autopeft.train.work import WorkFolder

SPEC = StudySpec(
    task="classification",
    metric="accuracy",
    train_rows=200,
    validation_rows=32,
    test_rows=32,
    max_length=12,
    batch_size=16,
    full_steps=12,
    prefix_cache="0",
)
RATES = {"lora": 2e-3, "ia3": 1e-2, "full": 2e-4}


def trained_as(method: str, procedure: str = "plain", layers=(5,)) -> Configuration:
    stated = get_method(method)
    layers = {"none": (), "all": range(6)}.get(stated.layers, layers)
    rate = RATES.get(method, (stated.learning_rate[0] * stated.learning_rate[1]) ** 0.5)
    return Configuration.of(method, stated.defaults, layers, rate, procedure, get_procedure(procedure).defaults)


def made_study(folder, *configurations: Configuration, **changes):
    """A study folder with a finished trial for each configuration, numbered in their order."""
    spec = SPEC.model_copy(update=changes)
    backbone, tokenised = resident()
    precision = {"format": "fp32", "attention": "eager", "seconds_per_step": {}}
    files = StudyFolder(folder)
    files.create()
    files.write(
        {
            "spec": spec.model_dump(),
            "task": tokenised.task.summary(),
            "shapes": backbone.shapes.to_json(),
            "budget": None,
            "configurations": 1,
            "environment": {"precision": precision, "versions": {}, "wall_seconds": 0.0},
        }
    )
    study = open_study(files, spec, Objectives.of("parameters,metric", "accuracy"))
    for configuration in configurations:
        curve = Curve(0, (12,), (0.6,), (0.6,), (0.6,), 2.4, 10**8)
        attrs = {
            "configuration": configuration.to_json(),
            "trainable": count(configuration, backbone.shapes),
            "curve": curve.to_json(),
        }
        study.add_trial(optuna.trial.create_trial(values=[2.0, 0.6], user_attrs=attrs))
    return folder


@cache
def resident():
    backbone = load_backbone(SPEC.model, 2)
    task = load_task(**SPEC.task_arguments())
    return backbone, tokenise(task, backbone.tokenizer, SPEC.max_length)


def complete(training: FullTraining, progress=None):
    """(record, adapter's folder) of a training that is trained up to where its adapter lies in the work folder."""
    from autopeft.base.progress import Progress

    trainer = FullTrainer(*resident(), training.batch_size, training.spec.head_rate, packing=False)
    work = WorkFolder(training.work)
    record = trainer.complete(
        training, work, work.begin(training, Processes()), Processes(), progress or Progress(quiet=True)
    )
    return record, work.kept(record)
