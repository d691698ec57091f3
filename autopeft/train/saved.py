"""A saved adapter: loaded anew as the model that was trained, scored, merged into its backbone."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from autopeft.configuration import Configuration
from autopeft.methods import tuners  # noqa: F401  (registers our tuners)
from autopeft.methods.mechanisms.attach import Resident, attached
from autopeft.methods.mechanisms.merge import merged
from autopeft.procedures import get_procedure
from autopeft.proxy.precision import device

if TYPE_CHECKING:
    from autopeft.backbone.loading import Backbone
    from autopeft.backbone.shapes import BackboneShapes
    from autopeft.methods.mechanisms.statistics import Statistics
    from autopeft.tasks.tokens import TokenisedTask
    from autopeft.train.training import FullTraining


def save(model: Any, folder: Path) -> None:
    """Save a peft model's adapter; a folder under that name is always whole."""
    from autopeft.base.files import whole_folder

    with whole_folder(folder) as beside:
        model.save_pretrained(str(beside))


@contextmanager
def loaded(
    backbone: "Backbone",
    folder: Path,
    configuration: Configuration | None = None,
    seed: int = 0,
    statistics: "Statistics | None" = None,
) -> Iterator[Any]:
    """Load an adapter on its backbone as a user does, with what its procedure changes about the model.

    Args:
        backbone: Restored at the end.
        folder: The adapter's.
        configuration: What it was trained as; None where that is not known.
        seed: What it was trained with.
        statistics: What its method was initialised from.

    Yields:
        The peft model in evaluation mode.
    """
    from peft import PeftModel

    changed = configuration if configuration and get_procedure(configuration.procedure).changes_model else None
    start = start_of(changed, backbone, seed, statistics) if changed else {}
    resident = Resident(backbone.model, values=True)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", message=".*is_gradient_checkpointing", category=FutureWarning
            )  # peft asks
            model = PeftModel.from_pretrained(backbone.model, str(folder), is_trainable=changed is not None)
        model.to(device()).eval()
        with as_trained(model, start, changed, backbone.shapes) if changed else nullcontext():
            yield model
    finally:
        resident.restore()


def start_of(
    configuration: Configuration, backbone: "Backbone", seed: int, statistics: "Statistics | None"
) -> dict[str, torch.Tensor]:
    """What each trained tensor was before the first step, by name."""
    with attached(configuration, backbone, seed, statistics) as model:
        return {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}


@contextmanager
def as_trained(
    model: Any, start: dict[str, torch.Tensor], configuration: Configuration, shapes: "BackboneShapes"
) -> Iterator[None]:
    """Change the model as its procedure did, which decided on it at its start (RoSTE chooses its rotations there).

    Args:
        model: With the trained adapter.
        start: What each trained tensor was before the first step.
        configuration: What was trained.
        shapes: The backbone's sizes.
    """
    trained = {n: p for n, p in model.named_parameters() if n in start}
    values = {n: p.detach().clone() for n, p in trained.items()}
    fill(trained, start)
    with get_procedure(configuration.procedure).around(model, configuration, shapes):
        fill(trained, values)
        yield


@torch.no_grad()
def fill(parameters: dict[str, torch.nn.Parameter], values: dict[str, torch.Tensor]) -> None:
    """Copy values into parameters by name, zeros where a method has changed its sizes (AdaLoRA's ranks).

    What such a method adds is then nothing, as at its start.
    """
    for name, parameter in parameters.items():
        same = values[name].shape == parameter.shape
        parameter.copy_(values[name] if same else torch.zeros_like(parameter))


def score_saved(folder: Path, training: "FullTraining", tokenised: "TokenisedTask") -> tuple[float, float]:
    """The (loss, score) of the saved adapter on the test split, on an fp32 (or the quantised) backbone."""
    from autopeft.methods.mechanisms.statistics import Statistics
    from autopeft.proxy.scoring import evaluate

    backbone = fresh(training, tokenised)
    statistics = Statistics(backbone, tokenised)
    with loaded(backbone, folder, training.configuration, training.seed, statistics) as model:
        return evaluate(model, tokenised.test, tokenised)


def fresh(training: "FullTraining", tokenised: "TokenisedTask") -> "Backbone":
    """The backbone as its checkpoint has it."""
    from autopeft.backbone.loading import load_backbone
    from autopeft.train.quantised import load_quantised

    if training.options.quantize:
        return load_quantised(training, training.options.quantize, tokenised.task)[0]
    spec = training.spec
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


def merge(folder: Path, training: "FullTraining", tokenised: "TokenisedTask") -> None:
    """Save the whole model with the adapter in its weights, and the tokenizer, in folder/merged."""
    backbone = fresh(training, tokenised)
    with loaded(backbone, folder, training.configuration, training.seed) as model:
        whole = merged(model)
        names = dict(enumerate(tokenised.task.label_names))
        if names:
            whole.config.id2label, whole.config.label2id = names, {name: label for label, name in names.items()}
        whole.save_pretrained(str(folder / "merged"))
        tokenizer: Any = backbone.tokenizer
        tokenizer.save_pretrained(str(folder / "merged"))
