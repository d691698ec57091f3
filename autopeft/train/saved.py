"""A saved adapter -> the model that was trained: loaded anew, scored, merged into its backbone."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import torch

from autopeft.configuration import Configuration
from autopeft.methods import tuners  # noqa: F401  (registers our tuners)
from autopeft.methods.mechanisms.attach import Resident, attached
from autopeft.procedures import get_procedure
from autopeft.proxy.precision import device


def save(model, folder: Path) -> None:
    """Save the adapter; a folder under that name is always whole."""
    from autopeft.base.files import whole_folder

    with whole_folder(folder) as beside:
        model.save_pretrained(str(beside))


@contextmanager
def loaded(
    backbone, folder: Path, configuration: Configuration | None = None, seed: int = 0, statistics=None
) -> Iterator:
    """The adapter on its backbone as a user loads it, and around it what its procedure changed while it trained.

    configuration: None where it is not known. seed, statistics: what it was trained with.
    """
    from peft import PeftModel

    procedure = get_procedure(configuration.procedure if configuration else "plain")
    start = start_of(configuration, backbone, seed, statistics) if procedure.changes_model else {}
    resident = Resident(backbone.model, values=True)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", message=".*is_gradient_checkpointing", category=FutureWarning
            )  # peft asks
            model = PeftModel.from_pretrained(backbone.model, str(folder), is_trainable=bool(start))
        model.to(device()).eval()
        with around(model, start, procedure, configuration, backbone.shapes) if start else nullcontext():
            yield model
    finally:
        resident.restore()


def start_of(configuration: Configuration, backbone, seed: int, statistics) -> dict[str, torch.Tensor]:
    """What each trained tensor was before the first step."""
    with attached(configuration, backbone, seed, statistics) as model:
        return {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}


@contextmanager
def around(model, start: dict, procedure, configuration: Configuration, shapes) -> Iterator[None]:
    """What the procedure changes is decided on the model at its start (RoSTE chooses its rotations there)."""
    trained = {n: p for n, p in model.named_parameters() if n in start}
    values = {n: p.detach().clone() for n, p in trained.items()}
    fill(trained, start)
    with procedure.around(model, configuration, shapes):
        fill(trained, values)
        yield


@torch.no_grad()
def fill(parameters: dict, values: dict) -> None:
    """Zeros where a method has changed its sizes (AdaLoRA's ranks): what it adds is then nothing, as at its start."""
    for name, parameter in parameters.items():
        same = values[name].shape == parameter.shape
        parameter.copy_(values[name] if same else torch.zeros_like(parameter))


def score_saved(folder: Path, plan, tokenised) -> dict:
    """The test split's loss and score of the saved adapter, on an fp32 (or the quantised) backbone."""
    from autopeft.methods.mechanisms.statistics import Statistics
    from autopeft.proxy.scoring import evaluate

    backbone = fresh(plan, tokenised)
    statistics = Statistics(backbone, tokenised)
    with loaded(backbone, folder, plan.configuration, plan.seed, statistics) as model:
        loss, score = evaluate(model, tokenised.test, tokenised)
    return {"test_loss": loss, "test_score": score}


def fresh(plan, tokenised):
    """The backbone as its checkpoint has it."""
    from autopeft.backbone.loading import load_backbone
    from autopeft.train.quantised import load_quantised

    if plan.recipe.quantize:
        return load_quantised(plan, tokenised.task)[0]
    spec = plan.spec
    task = tokenised.task
    backbone = load_backbone(
        spec.model,
        task.outputs,
        trust_remote_code=spec.trust_remote_code,
        words=spec.words(task.label_names),
        kind=task.kind,
    )
    backbone.model.to(device())
    return backbone


def merge(folder: Path, plan, tokenised) -> None:
    """Adapter folder -> folder/merged: the whole model with the adapter in its weights, and the tokenizer."""
    backbone = fresh(plan, tokenised)
    with loaded(backbone, folder, plan.configuration, plan.seed) as model:
        whole = model.merge_and_unload()
        names = dict(enumerate(tokenised.task.label_names))
        if names:
            whole.config.id2label, whole.config.label2id = names, {name: label for label, name in names.items()}
        whole.save_pretrained(str(folder / "merged"))
        backbone.tokenizer.save_pretrained(str(folder / "merged"))
